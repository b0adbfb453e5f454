"""Options of the live page: where it is served, and what it shows."""

import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from br2net.errors import InputError

if TYPE_CHECKING:
    from br2net.live.alerts import AlertRule, EventTarget
    from br2net.live.camera.camera import CameraStatistics
    from br2net.live.sinks import Recorder

DEFAULT_PORT = 8080
SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class WebOptions:
    """Address, access and limits of the page.

    Attributes:
        host: address or name to listen on.
        port: 0 for any free one.
        token: secret that a viewer has to know; needed unless `host` is reachable from this machine only.
        largest_fps: frames a second that a viewer gets at most.
        largest_width: width in pixels that frames are shrunk to for viewers.
        quality: JPEG quality of a frame, 1..100.
        largest_viewers: number of viewers at most; further ones are turned away.
        stale_after_s: seconds without a frame after which the health is bad.

    Raises:
        InputError: if a value cannot be used, or others can reach `host` and there is no token.
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
            raise InputError(f"The port must be between 0 and 65535, got {self.port}.")
        if self.token is None:
            if not is_local(self.host):
                raise InputError(
                    f"Others can reach the page on {self.host}, so it needs a token; give --token, or set BR2NET_TOKEN."
                )
        elif len(self.token) < SHORTEST_TOKEN:
            raise InputError(f"The token must have {SHORTEST_TOKEN} characters or more, got {len(self.token)}.")
        elif not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise InputError("The token holds characters that a header cannot carry; use letters, digits and -_.")


@dataclass(frozen=True)
class PageInfo:
    """Facts that the page shows, and the objects that it asks for more.

    Attributes:
        cameras: names of the sources.
        model: name of the model.
        backend: engine, device and precision, for example `openvino, cpu, bf16`.
        rules: rules of the alerts.
        targets: targets of the events, for the metrics.
        recorder: recorder that the record button drives, from threads of the server; None for no button.
        statistics: gives the statistics of each source by the name of its camera.
    """

    cameras: tuple[str, ...]
    model: str
    backend: str
    rules: "Sequence[AlertRule]" = ()
    targets: "Sequence[EventTarget]" = ()
    recorder: "Recorder | None" = None
    statistics: "Callable[[], Mapping[str, CameraStatistics]]" = dict


def is_local(host: str) -> bool:
    """Tell whether `host` can be reached from this machine only.

    Raises:
        InputError: if there is no such host.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError(f"{host!r} must be an address of this machine to serve at; it is unknown.") from error
    return all(ipaddress.ip_address(str(item[4][0]).partition("%")[0]).is_loopback for item in found)
