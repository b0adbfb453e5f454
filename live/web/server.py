"""uvicorn in a thread of its own."""

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

from br2net.errors import BackendError, InputError

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from uvicorn import Server

START_S = 10.0
STOP_S = 1.0
LARGEST_MESSAGE = 4096
MOST_CONNECTIONS = 256


class ServerThread:
    """Serves an application until closed. The port is taken when this is made, so a taken one is told at once."""

    def __init__(self, host: str, port: int) -> None:
        """Take the port.

        Raises:
            InputError: if that is not possible.
        """
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"Cannot serve at {host}, port {port}: {reason}; choose another with --web PORT."
            ) from error
        self.port = int(self._socket.getsockname()[1])
        self.loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, app: "ASGIApp") -> None:
        """Begin to serve; returns when requests are answered."""
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
        self._server = Server(config)
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="br2net-web", daemon=True)
        self._thread.start()
        if not ready.wait(START_S):
            raise BackendError("The web server did not start.")

    def close(self) -> None:
        """End all connections and the thread. Closing twice does no harm."""
        if self._server is not None:
            self._server.should_exit = True
            self._server.force_exit = True
        if self._thread is not None:
            self._thread.join(STOP_S)
        self._socket.close()

    def _run(self, ready: threading.Event) -> None:
        assert self._server is not None
        server = self._server

        async def serve() -> None:
            self.loop = asyncio.get_running_loop()
            serving = asyncio.ensure_future(server.serve(sockets=[self._socket]))
            while not server.started and not serving.done():
                await asyncio.sleep(0.005)
            ready.set()
            await serving

        asyncio.run(serve())
