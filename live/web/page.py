"""The page as a sink of the pipeline, and the thread that serves it."""

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

from br2net.errors import BackendError, InputError, MissingDependencyError
from br2net.live.alerts import AlertEvent, DeliveryCounts
from br2net.live.pipeline.result import FrameResult
from br2net.live.web.hub import Hub
from br2net.live.web.options import PageInfo, WebOptions

if TYPE_CHECKING:
    from starlette.types import ASGIApp

START_S = 10.0
STOP_S = 1.0
LARGEST_MESSAGE = 4096
MOST_CONNECTIONS = 256


class WebPage:
    """Serves one page with what the pipeline sees, and metrics. A `Sink` and an `EventTarget`.

    Example:
        >>> page = WebPage(PageInfo(("bench",), "mobile", "openvino, cpu"), WebOptions(port=8080))
        >>> print(page.url)
        >>> page.write(result)
    """

    name = "page"

    def __init__(self, info: PageInfo, options: WebOptions | None = None) -> None:
        """Begin to serve.

        Raises:
            InputError: if the address or port cannot be served at.
            MissingDependencyError: if the packages of the `live` extra are not installed.
        """
        options = options or WebOptions()
        try:
            import uvicorn  # noqa: F401
            import websockets  # noqa: F401
            from starlette.applications import Starlette

            from br2net.live.web.auth import Access, AuthMiddleware
            from br2net.live.web.metrics import Metrics
            from br2net.live.web.routes import Routes, login_page
            from br2net.live.web.state import State
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"The page needs {error.name}, which is not installed. Run `pip install 'br2net[live]'`."
            ) from error
        bound = bound_socket(options.host, options.port)
        self._host = options.host
        self.hub = Hub(info.cameras, options)
        self._metrics = Metrics(info, self.hub)
        self._events = 0
        access = Access(options)
        state = State(info, self.hub, options.stale_after_s)
        routes = Routes(access, self.hub, state, self._metrics, options.largest_viewers)
        app = AuthMiddleware(Starlette(routes=routes.routes()), access, login_page(wrong=False))
        self._server = ServerThread(app, bound)
        self.hub.run_in(self._server.loop)

    @property
    def port(self) -> int:
        """The port, also where 0 asked for any."""
        return self._server.port

    @property
    def url(self) -> str:
        """Address for a browser, without the token."""
        host = socket.gethostname() if self._host in ("0.0.0.0", "::", "") else self._host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    @property
    def counts(self) -> DeliveryCounts:
        """Number of events sent to the page; none is ever lost on the way."""
        return DeliveryCounts(sent=self._events)

    def write(self, result: FrameResult) -> None:
        """Show one result; returns at once."""
        self._metrics.count(result)
        self.hub.offer(result)

    def send(self, event: AlertEvent) -> None:
        """Show one event; returns at once."""
        self._events += 1
        self._metrics.count_event(event)
        self.hub.show_event(event)

    def close(self) -> None:
        """Stop serving. Closing twice does no harm."""
        self.hub.run_in(None)
        self._server.close()
        self.hub.close()


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address, so that a port in use is refused before anything else is started.

    Raises:
        InputError: if it cannot be bound.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Cannot serve at {host}, port {port}: {reason}; choose another with --web PORT.") from error
    return bound


class ServerThread:
    """uvicorn in a separate thread; it answers requests once this is made.

    Attributes:
        port: port of the socket.
        loop: event loop of the server.
    """

    def __init__(self, app: "ASGIApp", bound: socket.socket) -> None:
        from uvicorn import Config, Server

        config = Config(
            app,
            log_config=None,
            log_level="error",
            access_log=False,
            http="h11",
            ws="websockets-sansio",
            ws_max_size=LARGEST_MESSAGE,
            ws_per_message_deflate=False,
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
        self.port = int(bound.getsockname()[1])
        self.loop: asyncio.AbstractEventLoop | None = None
        self._server, self._socket = Server(config), bound
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="br2net-web", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_S):
            raise BackendError("The web server did not start.")

    def close(self) -> None:
        """End all connections and the thread. Closing twice does no harm."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(STOP_S)
        self._socket.close()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        serving = asyncio.ensure_future(self._server.serve(sockets=[self._socket]))
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.005)
        self._ready.set()
        await serving
