"""What `br2net camera` needs besides its options: cameras by their texts, signals, the status line, the summary."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from br2net.errors import InputError
from br2net.live.camera import Camera, CameraOptions
from br2net.live.pipeline import FrameResult, Pipeline, Summary

REFRESH_S = 0.25


def make_cameras(sources: Sequence[str], options: CameraOptions) -> list[Camera]:
    """A camera for each source, of different names.

    Raises:
        CameraError: if a source is not understood.
    """
    cameras: list[Camera] = []
    for source in sources:
        item = Camera(source, options)
        alike = sum(other.name == item.name or other.name.startswith(f"{item.name} #") for other in cameras)
        cameras.append(Camera(source, options, name=f"{item.name} #{alike + 1}") if alike else item)
    return cameras


def refuse_sources(sources: Sequence[str], *outputs: Path | None) -> None:
    """Refuse to write over what is to be read.

    Raises:
        InputError: if an output is one of the sources.
    """
    for output in outputs:
        if (
            output is not None
            and output.is_file()
            and any(output.resolve() == Path(text).resolve() for text in sources)
        ):
            raise InputError(f"{output} is a source; write to another file.")


def refuse_mixed_outputs(files: Sequence[Path | None], folders: Sequence[Path | None]) -> None:
    """Refuse two outputs in one file, and a file where a folder of pictures or recordings has to be.

    Raises:
        InputError: if there is such an output.
    """
    named = [path for path in files if path is not None and (path.is_file() or not path.exists())]
    for place, path in enumerate(named):
        if any(path.resolve() == other.resolve() for other in named[:place]):
            raise InputError(f"{path} is named for two outputs; give each a file of its own.")
    for folder in folders:
        if folder is not None and folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; name a folder.")


def rates_of(cameras: Sequence[Camera]) -> Callable[[str], float]:
    """Frames a second of a camera, by its name; known once it is open."""
    by_name = {camera.name: camera for camera in cameras}
    return lambda name: by_name[name].rate


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within, Ctrl-C and SIGTERM call `stop`; a second one does what it did before."""
    if threading.current_thread() is not threading.main_thread():  # Python lets no other set handlers
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, frame: object) -> None:
        restore()
        stop()

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()


def tell(console: Console, text: str) -> None:
    """Say on stderr what went wrong while the rest goes on."""
    console.print(f"br2net: {text}", markup=False, highlight=False, soft_wrap=True)


class StatusLine:
    """A sink that keeps one line on the terminal up to date, and removes it at the end."""

    def __init__(self, console: Console, pipeline: Pipeline) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._pipeline = pipeline
        self._next = 0.0

    def write(self, result: FrameResult) -> None:
        """Take note of a result; the line changes four times a second."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + REFRESH_S
        if not self._live.is_started:
            self._live.start()
        summary = self._pipeline.summary()
        parts = [
            f"{result.camera}: {result.blurred_fraction:4.0%} blurred",
            f"{summary.fps:.1f} frames/s",
            f"latency {result.latency_ms:.0f} ms",
            f"{summary.frames} frames",
            f"{summary.dropped + summary.skipped} left out",
        ]
        parts += [f"{summary.reconnects} reconnects"] if summary.reconnects else []
        parts += list(result.alerts)
        self._live.update(Text("  ·  ".join(parts), no_wrap=True, overflow="ellipsis"), refresh=True)

    def close(self) -> None:
        """Remove the line."""
        self._live.stop()


def summary_facts(summary: Summary) -> dict[str, Any]:
    """The summary as one JSON object."""
    facts: dict[str, Any] = {
        "frames": summary.frames,
        "fps": round(summary.fps, 2),
        "dropped": summary.dropped,
        "reconnects": summary.reconnects,
        "latency": {name: round(value, 2) for name, value in summary.latency.items()},
        "stages": {name: round(value, 3) for name, value in summary.stages.items()},
        "skipped": summary.skipped,
        "damaged": summary.damaged,
    }
    facts["cameras"] = {
        name: {
            "captured": item.captured,
            "dropped": item.dropped,
            "skipped": item.skipped,
            "taken_every": item.stride,
            "thinned": item.thinned,
            "damaged": item.damaged,
            "reconnects": item.reconnects,
        }
        for name, item in summary.cameras.items()
    }
    return facts


def summary_text(summary: Summary) -> str:
    """The summary in a few lines."""
    latency, stages = summary.latency, summary.stages
    lines = [
        f"{summary.frames} frames, {summary.fps:.1f} a second; {summary.dropped} dropped, {summary.reconnects} reconnects",
        f"latency {latency['p50_ms']:.0f} ms (95 %: {latency['p95_ms']:.0f}, 99 %: {latency['p99_ms']:.0f})",
        "stages, mean ms: " + ", ".join(f"{name.removesuffix('_ms')} {value:.1f}" for name, value in stages.items()),
    ]
    if summary.skipped:
        strides = ", ".join(f"1 in {item.stride}" for item in summary.cameras.values())
        lines.append(
            f"{summary.skipped} frames left out evenly, since the model does not keep up (now taken: {strides})"
        )
    if summary.damaged:
        lines.append(f"{summary.damaged} damaged frames left out")
    return "\n".join(lines)
