"""Progress bars of a build, and a way to stop it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from br2net.runtime.tensorrt.api import trt

Result = TypeVar("Result")


class BuildProgress(trt.IProgressMonitor):
    """Nested bars of TensorRT's nested phases; TensorRT calls the methods from any thread."""

    def __init__(self, bars: Progress) -> None:
        trt.IProgressMonitor.__init__(self)
        self._bars = bars
        self._phases: dict[str, TaskID] = {}
        self._depth: dict[str, int] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        """Add the bar of a phase of `num_steps` steps inside `parent_phase`."""
        with self._lock:
            depth = self._depth.get(parent_phase, -1) + 1 if parent_phase else 0
            self._depth[phase_name] = depth
            self._phases[phase_name] = self._bars.add_task("  " * depth + phase_name, total=num_steps)

    def step_complete(self, phase_name: str, step: int) -> bool:
        """Advance a bar; return False to ask TensorRT to stop."""
        with self._lock:
            if phase_name in self._phases:
                self._bars.update(self._phases[phase_name], completed=step + 1)
        return not self._stopped.is_set()

    def phase_finish(self, phase_name: str) -> None:
        """Remove the bar of a phase, whether complete or stopped."""
        with self._lock:
            if phase_name in self._phases:
                self._bars.remove_task(self._phases.pop(phase_name))

    def stop(self) -> None:
        """End the build at its next step."""
        self._stopped.set()


@contextmanager
def progress_bars(shown: bool) -> Iterator[Progress]:
    """Show bars on stderr until the block ends, if `shown` and stderr is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bars:
        yield bars


def run_interruptible(work: Callable[[], Result], stop: Callable[[], None]) -> Result:
    """Run `work` in another thread and wait for it, so that Ctrl-C is noticed while TensorRT does not return.

    On Ctrl-C, call `stop`, wait until the work has ended, and raise KeyboardInterrupt.
    """
    future: Future[Result] = Future()

    def run() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except BaseException as error:  # raised again in the caller's thread
                future.set_exception(error)

    try:
        threading.Thread(target=run, name="engine-build").start()
        while not wait([future], 0.1).done:
            pass
    except KeyboardInterrupt:  # it may come while the thread starts: then the work is cancelled
        stop()
        if not future.cancel():
            wait([future])
        raise
    return future.result()
