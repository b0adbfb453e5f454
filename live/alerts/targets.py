"""Targets of events: JSON lines, a webhook, and the bounded queue of every target that talks to another machine."""

import base64
import logging
import socket
import threading
from abc import ABC, abstractmethod
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

from br2net import __version__
from br2net.errors import DeliveryError, InputError, MissingDependencyError
from br2net.files import cannot_write
from br2net.live.alerts.events import AlertEvent, DeliveryCounts

log = logging.getLogger(__name__)
CAPACITY = 256
DRAIN_S = 0.4
TIMEOUT_S = 5.0
TRY_AGAIN = (408, 425, 429)


class EventLog:
    """Appends each event to a file as one line, at once, so that a reader following the file sees it."""

    name = "jsonl"

    def __init__(self, path: Path) -> None:
        """Open `path` for appending; the folder is made.

        Raises:
            InputError: if it cannot be written to.
        """
        self._path = path
        self._sent = self._failed = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise cannot_write(path, error) from error

    @property
    def counts(self) -> DeliveryCounts:
        """Numbers of the events so far."""
        return DeliveryCounts(sent=self._sent, failed=self._failed)

    def send(self, event: AlertEvent) -> None:
        """Write one event. A full disk loses it, which is counted, and logged the first time."""
        line = (event.to_json() + "\n").encode()
        try:
            start = self._file.seek(0, 2)
            if self._file.write(line) != len(line):
                self._file.truncate(start)  # no half line before the next one
                raise OSError("no space for the line")
        except (OSError, ValueError) as error:
            if not self._failed:
                log.warning("Events are lost: cannot write %s: %s.", self._path, error)
            self._failed += 1
        else:
            self._sent += 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(frozen=True)
class RetryPolicy:
    """Number of tries of an event, and the wait between them: twice as long each time, up to `longest_s`."""

    tries: int = 6
    first_s: float = 0.5
    longest_s: float = 30.0

    def wait_s(self, tried: int) -> float:
        """Return the seconds to wait after `tried` failed tries (1 or more)."""
        return float(min(self.longest_s, self.first_s * 2 ** (tried - 1)))


class Outbox(ABC):
    """A bounded queue of events, delivered in order from a separate thread, so that the other end never holds up the pipeline.

    When the queue is full the oldest event is dropped, because recent ones matter more. While one event is tried again, the
    later ones wait. A subclass delivers; it calls `__init__` last, since that starts the thread.
    """

    name: ClassVar[str]

    def __init__(self, retry: RetryPolicy | None = None, capacity: int = CAPACITY) -> None:
        self._retry = retry or RetryPolicy()
        self._capacity = capacity
        self._events: deque[AlertEvent] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._sent = self._failed = self._dropped = 0
        self._busy = False
        self._thread = threading.Thread(target=self._run, name=f"br2net-{self.name}", daemon=True)
        self._thread.start()

    @abstractmethod
    def _deliver(self, event: AlertEvent) -> None:
        """Deliver one event; may block.

        Raises:
            DeliveryError: if it was not delivered.
        """

    @abstractmethod
    def _interrupt(self) -> None:
        """End a delivery that hangs; called when closing."""

    @property
    def counts(self) -> DeliveryCounts:
        """Numbers of the events so far."""
        with self._changed:
            waiting = len(self._events) + self._busy
            return DeliveryCounts(self._sent, self._failed, self._dropped, waiting)

    def send(self, event: AlertEvent) -> None:
        """Queue one event; returns at once. After `close` it counts as dropped."""
        with self._changed:
            if self._closing.is_set():
                self._dropped += 1
                return
            if len(self._events) >= self._capacity:
                self._events.popleft()
                self._drop(1, "its queue is full")
            self._events.append(event)
            self._changed.notify_all()

    def close(self) -> None:
        """Give what is queued a moment (0.4 s), then drop the rest and end, even where the receiver hangs."""
        with self._changed:
            self._changed.wait_for(lambda: not self._events and not self._busy, DRAIN_S)
            already = self._closing.is_set()
            self._closing.set()
            left = len(self._events)
            self._events.clear()
            if left and not already:
                self._drop(left, "the program ends")
            self._changed.notify_all()
        self._interrupt()
        self._thread.join(DRAIN_S)

    def _drop(self, count: int, reason: str) -> None:
        if not self._dropped:
            log.warning("%s: events are dropped, since %s.", self.name, reason)
        self._dropped += count

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._events) or self._closing.is_set())
                if not self._events:
                    return
                event = self._events.popleft()
                self._busy = True
            delivered = self._deliver_with_retries(event)
            with self._changed:
                self._busy = False
                self._sent += delivered
                self._failed += not delivered
                self._changed.notify_all()

    def _deliver_with_retries(self, event: AlertEvent) -> bool:
        for tried in range(1, self._retry.tries + 1):
            try:
                self._deliver(event)
                return True
            except DeliveryError as error:
                reason = str(error)
                if not error.retry or tried == self._retry.tries:
                    break
            if self._closing.wait(self._retry.wait_s(tried)):
                break
        log.warning("%s: the event of %r was not delivered: %s.", self.name, event.alert, reason)
        return False


class Webhook(Outbox):
    """Posts each event as JSON to an address.

    An answer of 2xx is success; 5xx, 408, 425, 429 and a connection that fails are tried again after 0.5, 1, 2 … seconds,
    six times in all; any other answer is final (redirections too: give the new address instead).
    """

    name = "webhook"

    def __init__(
        self, url: str, timeout_s: float = TIMEOUT_S, retry: RetryPolicy | None = None, capacity: int = CAPACITY
    ) -> None:
        """Begin delivering to `url`, `http://` or `https://`, with `user:password@` if the receiver wants that.

        Raises:
            InputError: if the address does not have that form.
            MissingDependencyError: if urllib3 is not installed.
        """
        try:
            import urllib3
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                "A webhook needs urllib3, which is not installed. Run `pip install 'br2net[live]'`."
            ) from error
        try:
            parts = urllib3.util.parse_url(url)
        except urllib3.exceptions.LocationParseError:
            parts = urllib3.util.Url()
        if parts.scheme not in ("http", "https") or not parts.host:
            shown = url.rsplit("@", 1)[-1]  # without the password
            raise InputError(f"The address of a webhook must have the form https://host/path, got {shown!r}.")
        self._host, self._path = parts.host, parts.request_uri
        self._headers = {"Content-Type": "application/json", "User-Agent": f"br2net/{__version__}"}
        if parts.auth is not None:
            login = base64.b64encode(unquote(parts.auth).encode()).decode()
            self._headers["Authorization"] = f"Basic {login}"
        self._pool = urllib3.connection_from_url(url, timeout=timeout_s)
        self._socket: socket.socket | None = None
        webhook = self

        class Connection(self._pool.ConnectionCls):  # type: ignore[name-defined,misc]
            """A connection whose socket can be shut down from another thread."""

            def connect(self) -> None:
                super().connect()
                webhook._socket = self.sock

        self._pool.ConnectionCls = Connection
        super().__init__(retry, capacity)

    def _deliver(self, event: AlertEvent) -> None:
        from urllib3.exceptions import HTTPError

        try:
            body = event.to_json().encode()
            answer = self._pool.urlopen(
                "POST", self._path, body, self._headers, retries=False, redirect=False, preload_content=False
            )
            answer.close()  # only its status matters
        except (HTTPError, OSError, ValueError) as error:
            cause = error.__cause__ or error
            raise DeliveryError(f"{self._host}: {str(cause) or type(cause).__name__}", retry=True) from error
        if not 200 <= answer.status < 300:
            retry = answer.status >= 500 or answer.status in TRY_AGAIN
            raise DeliveryError(f"{self._host} answered {answer.status}", retry)

    def _interrupt(self) -> None:
        connected = self._socket
        if connected is not None:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits in recv, as close would not
