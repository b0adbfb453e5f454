"""What the page is told at its start."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from br2net.errors import InputError
from br2net.live.alerts.event import EventTarget
from br2net.live.alerts.expression import AlertRule
from br2net.live.camera.camera import CameraStatistics

DEFAULT_PORT = 8080
SHORTEST_TOKEN = 16


class Recorder(Protocol):
    """What the record button drives, from threads of the server; `br2net.live.sinks.Recorder` is one."""

    @property
    def recording(self) -> Path | None:
        """The file that is being written, or None."""
        ...

    @property
    def failure(self) -> str | None:
        """Why the last recording ended by itself, in a sentence; None if it did not."""
        ...

    def start(self) -> Path:
        """Begin a new file.

        Raises:
            Br2netError: if it cannot be written.
        """
        ...

    def stop(self) -> Path | None:
        """Finish the file."""
        ...


@dataclass(frozen=True)
class WebOptions:
    """Where to serve, and to whom.

    Attributes:
        host: address or name to listen on.
        port: 0 for any free one.
        token: what a viewer has to know; needed wherever `host` is not this machine alone.
        largest_fps: no viewer gets more frames a second than this.
        largest_width: wider frames are shrunk to this for viewers, pixels.
        quality: of the JPEG of a frame, 1..100.
        largest_viewers: more are turned away.
        stale_after_s: without a frame for so long, the health is bad.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str | None = None
    largest_fps: float = 30.0
    largest_width: int = 960
    quality: int = 80
    largest_viewers: int = 32
    stale_after_s: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InputError(f"There is no port {self.port}; ports are 0 to 65535.")
        if self.token is not None and len(self.token) < SHORTEST_TOKEN:
            raise InputError(f"The token is too short to be safe; it needs {SHORTEST_TOKEN} characters or more.")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise InputError("The token holds characters that cannot travel in a header; use letters, digits and -_.")


def _no_statistics() -> Mapping[str, CameraStatistics]:
    return {}


@dataclass(frozen=True)
class About:
    """What is being watched.

    Attributes:
        cameras: names of the sources.
        model: name of the model.
        backend: engine, device and precision, as `openvino, cpu, bf16`.
        rules: of the alerts.
        targets: where events go, for the metrics.
        recorder: what the record button drives; None for no button.
        statistics: gives what became of each source's frames, by name of the camera.
    """

    cameras: tuple[str, ...]
    model: str
    backend: str
    rules: Sequence[AlertRule] = ()
    targets: Sequence[EventTarget] = ()
    recorder: Recorder | None = None
    statistics: Callable[[], Mapping[str, CameraStatistics]] = field(default=_no_statistics)
