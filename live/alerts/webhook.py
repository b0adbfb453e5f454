"""Events by HTTP POST."""

import base64
import http.client
import socket
import ssl
import threading
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from br2net import __version__
from br2net.errors import DeliveryError, InputError
from br2net.live.alerts.event import AlertEvent, DeliveryCounts
from br2net.live.alerts.outbox import CAPACITY, Outbox, RetryPolicy

TIMEOUT_S = 5.0
TRY_AGAIN = (408, 425, 429)


class Webhook:
    """Posts each event as JSON to an address, from a thread of its own.

    An answer of 2xx is success; 5xx, 408, 425, 429 and a connection that fails are tried again after 0.5, 1, 2 … seconds, six
    times in all; any other answer is final (redirections too: an address that moved should be given anew).
    """

    name = "webhook"

    def __init__(
        self, url: str, timeout_s: float = TIMEOUT_S, retry: RetryPolicy | None = None, capacity: int = CAPACITY
    ) -> None:
        """Begin delivering to `url`, `http://` or `https://`, with `user:password@` if the receiver wants that.

        Raises:
            InputError: if the address is not of that form.
        """
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise InputError(f"A webhook is an address as https://host/path; {_without_password(url)!r} is not.")
        self._https = parts.scheme == "https"
        self._host, self._port, self._timeout_s = parts.hostname, port, timeout_s
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"Content-Type": "application/json", "User-Agent": f"br2net/{__version__}"}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        self._current: http.client.HTTPConnection | None = None
        self._current_lock = threading.Lock()
        self._outbox = Outbox(self.name, self._post, retry, capacity)

    @property
    def counts(self) -> DeliveryCounts:
        """What became of the events so far."""
        return self._outbox.counts

    def send(self, event: AlertEvent) -> None:
        """Queue one event; returns at once."""
        self._outbox.send(event)

    def close(self) -> None:
        """Give what is queued a moment, then end, even where the receiver hangs."""
        self._outbox.close(self._interrupt)

    def _post(self, event: AlertEvent) -> None:
        connection = self._connection()
        with self._current_lock:
            self._current = connection
        try:
            connection.request("POST", self._path, event.to_json().encode(), self._headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DeliveryError(f"{self._host}: {_reason(error)}", retry=True) from error
        finally:
            with self._current_lock:
                self._current = None
            connection.close()
        if not 200 <= status < 300:
            raise DeliveryError(f"{self._host} answered {status}", retry=status >= 500 or status in TRY_AGAIN)

    def _connection(self) -> http.client.HTTPConnection:
        if self._https:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def _interrupt(self) -> None:
        with self._current_lock:
            connected = self._current.sock if self._current is not None else None
            if connected is not None:
                with suppress(OSError):
                    connected.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits in recv, as close would not


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _without_password(url: str) -> str:
    return url.rsplit("@", 1)[-1]
