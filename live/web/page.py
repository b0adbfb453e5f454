"""The page as a sink: results go in, viewers look on."""

import socket

from br2net.errors import MissingDependencyError
from br2net.live.alerts.event import AlertEvent, DeliveryCounts
from br2net.live.pipeline.result import FrameResult
from br2net.live.web.access import Access
from br2net.live.web.assets import read_assets
from br2net.live.web.guard import Guard
from br2net.live.web.http import Pages
from br2net.live.web.hub import Hub
from br2net.live.web.metrics import Metrics
from br2net.live.web.options import About, WebOptions
from br2net.live.web.server import ServerThread
from br2net.live.web.sockets import Sockets
from br2net.live.web.state import State


class WebPage:
    """Serves one page with what the pipeline sees, and the same for programs. A `Sink` and an `EventTarget`.

    Example:
        >>> page = WebPage(About(("bench",), "mobile", "openvino, cpu"), WebOptions(port=8080))
        >>> print(page.url)
        >>> page.write(result)
    """

    name = "page"

    def __init__(self, about: About, options: WebOptions | None = None) -> None:
        """Begin to serve.

        Raises:
            InputError: if the address or port cannot be served at, or is open to others and there is no token.
            MissingDependencyError: if the packages of the `live` extra are not installed.
        """
        options = options or WebOptions()
        try:
            import prometheus_client  # noqa: F401
            import uvicorn  # noqa: F401
            import websockets  # noqa: F401
            from starlette.applications import Starlette
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"The page needs {error.name}; `pip install 'br2net[live]'` brings it."
            ) from error
        access, assets = Access(options), read_assets()
        self._server = ServerThread(options.host, options.port)
        self._options = options
        self.hub = Hub(about.cameras, options)
        self._metrics = Metrics(about, self.hub)
        state = State(about, self.hub, options.stale_after_s)
        pages = Pages(assets, access, state, self._metrics)
        sockets = Sockets(self.hub, state, options.largest_viewers)
        app = Starlette(routes=[*pages.routes(), *sockets.routes()])
        self._told = 0
        self._server.start(Guard(app, access, assets["login.html"].content))
        self.hub.run_in(self._server.loop)

    @property
    def port(self) -> int:
        """The port, also where 0 asked for any."""
        return self._server.port

    @property
    def url(self) -> str:
        """Address for a browser, without the token."""
        host = self._options.host
        if host in ("0.0.0.0", "::", ""):
            host = socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    @property
    def counts(self) -> DeliveryCounts:
        """Events told to the page; none is ever lost on the way."""
        return DeliveryCounts(sent=self._told)

    def write(self, result: FrameResult) -> None:
        """Show one result; returns at once."""
        self._metrics.count(result)
        self.hub.offer(result)

    def send(self, event: AlertEvent) -> None:
        """Show one event; returns at once."""
        self._told += 1
        self._metrics.tell(event)
        self.hub.tell(event)

    def close(self) -> None:
        """Stop serving. Closing twice does no harm."""
        self.hub.run_in(None)
        self._server.close()
        self.hub.close()
