"""A build's progress as a bar, and a way to stop it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from br2net.runtime.tensorrt.api import trt

Result = TypeVar("Result")


class BuildProgress(trt.IProgressMonitor):
    """Shows TensorRT's nested phases as nested bars; `stop` ends the build at its next step. Called from any thread."""

    def __init__(self, bars: Progress) -> None:
        trt.IProgressMonitor.__init__(self)
        self._bars = bars
        self._phases: dict[str, TaskID] = {}
        self._depth: dict[str, int] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        """A phase of `num_steps` steps begins inside `parent_phase`."""
        with self._lock:
            depth = self._depth.get(parent_phase, -1) + 1 if parent_phase else 0
            self._depth[phase_name] = depth
            self._phases[phase_name] = self._bars.add_task("  " * depth + phase_name, total=num_steps)

    def step_complete(self, phase_name: str, step: int) -> bool:
        """A step is done; False asks TensorRT to stop."""
        with self._lock:
            if phase_name in self._phases:
                self._bars.update(self._phases[phase_name], completed=step + 1)
        return not self._stopped.is_set()

    def phase_finish(self, phase_name: str) -> None:
        """A phase is over, whether complete or stopped."""
        with self._lock:
            if phase_name in self._phases:
                self._bars.remove_task(self._phases.pop(phase_name))

    def stop(self) -> None:
        """End the build at its next step."""
        self._stopped.set()


@contextmanager
def progress_bars(shown: bool) -> Iterator[Progress]:
    """Bars on stderr that vanish when the block ends; none where `shown` is False or stderr is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bars:
        yield bars


def run_interruptible(work: Callable[[], Result], stop: Callable[[], None]) -> Result:
    """Run `work` in a thread of its own and wait for it, so that Ctrl-C is heard while TensorRT does not return.

    On Ctrl-C `stop` is called, the work comes to its end, and KeyboardInterrupt goes on to the caller.
    """
    results: list[Result] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # handed to the caller's thread below
            failures.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=run, name="engine-build")
    try:
        thread.start()
        while not done.wait(0.1):
            pass
    except KeyboardInterrupt:
        stop()
        if not thread.is_alive():
            done.wait(1.0)  # Ctrl-C came while the thread was starting
        if thread.is_alive():
            thread.join()
        raise
    thread.join()
    if failures:
        raise failures[0]
    return results[0]
