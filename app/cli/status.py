"""Terminal output of `br2net camera`: the status line, warnings, the summary; and its end by signals."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from br2net.live.pipeline import FrameResult, Pipeline, Summary
from br2net.runtime.postprocessing import Wanted

REFRESH_S = 0.25


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on Ctrl-C and SIGTERM; a second one does what it did before."""
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


@contextmanager
def forward_warnings(notify: Callable[[str], None]) -> Iterator[None]:
    """Forward log warnings of this package, for example of a broker that is away, to `notify`."""

    class Teller(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            notify(record.getMessage())

    logger, teller = logging.getLogger("br2net"), Teller(logging.WARNING)
    logger.addHandler(teller)
    try:
        yield
    finally:
        logger.removeHandler(teller)


def tell(console: Console, text: str) -> None:
    """Report on stderr what went wrong and does not end the run."""
    console.print(f"br2net: {text}", markup=False, highlight=False, soft_wrap=True)


class StatusLine:
    """A sink that keeps one line on the terminal up to date, and removes it at the end."""

    wanted = Wanted.FRACTION

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
    """Return the summary as one JSON object."""
    return {
        "frames": summary.frames,
        "fps": round(summary.fps, 2),
        "dropped": summary.dropped,
        "reconnects": summary.reconnects,
        "latency": {name: round(value, 2) for name, value in summary.latency.items()},
        "stages": {name: round(value, 3) for name, value in summary.stages.items()},
        "skipped": summary.skipped,
        "damaged": summary.damaged,
        "cameras": {
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
        },
    }


def summary_text(summary: Summary) -> str:
    """Return the summary in a few lines."""
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
