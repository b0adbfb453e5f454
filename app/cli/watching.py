"""What `br2net camera` tells the outside world: alerts, and the page to watch."""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from br2net.errors import InputError

if TYPE_CHECKING:
    from br2net.live.alerts import Alerts, EventTarget
    from br2net.live.camera import Camera
    from br2net.live.sinks import Recorder
    from br2net.live.web import WebOptions, WebPage
    from br2net.runtime.backend import Backend

DEFAULT_PORT = "8080"
PORT = re.compile(r"\d{2,5}")


class PortAfterWeb(TyperCommand):
    """Lets `--web` stand alone: what follows is its port only if it has two to five digits, so `--web 0` is camera 0."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, the default port put after a `--web` without one."""
        filled: list[str] = []
        for position, text in enumerate(args):
            filled.append(text)
            following = args[position + 1] if position + 1 < len(args) else ""
            if text == "--web" and "--" not in args[:position] and not PORT.fullmatch(following):
                filled.append(DEFAULT_PORT)
        return super().parse_args(ctx, filled)


@contextmanager
def warnings_told(say: Callable[[str], None]) -> Iterator[None]:
    """Within, what this package logs as a warning, as a broker that went away, is said by `say`."""

    class Teller(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(record.getMessage())

    logger, teller = logging.getLogger("br2net"), Teller(logging.WARNING)
    logger.addHandler(teller)
    try:
        yield
    finally:
        logger.removeHandler(teller)


@dataclass(frozen=True)
class WatchOptions:
    """The options of `br2net camera` that concern alerts and the page.

    Attributes:
        alerts: expressions.
        events: file for the events as JSON lines.
        webhook, mqtt: addresses for the events.
        web: port of the page; None for no page.
        host: address of the page.
        token: that it asks for.
        recordings: folder of what its record button records.
    """

    alerts: tuple[str, ...] = ()
    events: Path | None = None
    webhook: str | None = None
    mqtt: str | None = None
    web: int | None = None
    host: str | None = None
    token: str | None = None
    recordings: Path = Path()

    def __post_init__(self) -> None:
        """Refuse what would have no effect.

        Raises:
            InputError: if so, or if others could reach the page and it has no token.
        """
        for name, given in (("--events", self.events), ("--webhook", self.webhook), ("--mqtt", self.mqtt)):
            if given is not None and not self.alerts:
                raise InputError(
                    f'{name} tells of alerts, and none is set; set one, as --alert "blurred > 0.6 for 2s".'
                )
        if self.host is not None and self.web is None:
            raise InputError("--host is the address of the page; ask for the page with --web.")
        if self.web is not None:
            self.page()  # before a model is loaded

    def page(self) -> "WebOptions":
        """Where to serve the page, and to whom."""
        from br2net.live.web import DEFAULT_PORT, WebOptions

        port = DEFAULT_PORT if self.web is None else self.web
        return WebOptions(host=self.host or "127.0.0.1", port=port, token=self.token or None)


def make_alerts(options: WatchOptions, regions: Sequence[str], stack: ExitStack) -> "Alerts | None":
    """The alerts with their targets, which `stack` closes; None if none is set.

    Raises:
        InputError: if an expression, address or file cannot be used.
    """
    from br2net.live.alerts import AlertMonitor, Alerts, EventLog, MqttPublisher, Webhook, parse_rules

    if not options.alerts:
        return None
    rules = parse_rules(options.alerts, regions)
    makers: list[Callable[[], EventTarget]] = []
    if options.events is not None:
        makers.append(partial(EventLog, options.events))
    if options.webhook is not None:
        makers.append(partial(Webhook, options.webhook))
    if options.mqtt is not None:
        makers.append(partial(MqttPublisher, options.mqtt))
    with ExitStack() as unfinished:  # closes the first ones if a later one cannot be made
        targets = [unfinished.enter_context(closing(make())) for make in makers]
        unfinished.pop_all()
    alerts = Alerts(AlertMonitor(rules), targets)
    stack.callback(alerts.close)
    return alerts


def make_page(
    options: WatchOptions,
    cameras: Sequence["Camera"],
    backend: "Backend",
    alerts: "Alerts | None",
    recorder: "Recorder",
) -> "WebPage":
    """The page, which serves from now on; events reach it through `alerts`.

    Raises:
        InputError: if it cannot be served there, or needs a token.
        MissingDependencyError: if the packages of the `live` extra are missing.
    """
    from br2net.live.web import PageInfo, WebPage

    info = PageInfo(
        cameras=tuple(camera.name for camera in cameras),
        model=backend.metadata.name,
        backend=", ".join((backend.name, backend.device, backend.precision)),
        rules=alerts.monitor.rules if alerts else (),
        targets=alerts.targets if alerts else (),
        recorder=recorder,
        statistics=lambda: {camera.name: camera.statistics for camera in cameras},
    )
    page = WebPage(info, options.page())
    if alerts is not None:
        alerts.tell_also(page)
    return page
