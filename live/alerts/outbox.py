"""A bounded queue of events, emptied by a thread of its own, so that nobody at the other end can hold up the pipeline."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from br2net.errors import DeliveryError
from br2net.live.alerts.event import AlertEvent, DeliveryCounts

log = logging.getLogger(__name__)
CAPACITY = 256
DRAIN_S = 0.4


@dataclass(frozen=True)
class RetryPolicy:
    """How often an event is tried, and how long to wait in between: twice as long each time, up to `longest_s`."""

    tries: int = 6
    first_s: float = 0.5
    longest_s: float = 30.0

    def wait_s(self, tried: int) -> float:
        """Seconds to wait after `tried` failed tries (1 or more)."""
        return float(min(self.longest_s, self.first_s * 2 ** (tried - 1)))


class Outbox:
    """Delivers events in their order through `deliver`, which may block, from its own thread.

    When the queue is full the oldest event goes: what is happening now matters more. Events are never delivered out of
    order; while one is tried again, the later ones wait.
    """

    def __init__(
        self,
        name: str,
        deliver: Callable[[AlertEvent], None],
        retry: RetryPolicy | None = None,
        capacity: int = CAPACITY,
    ) -> None:
        self.name = name
        self._deliver = deliver
        self._retry = retry or RetryPolicy()
        self._capacity = capacity
        self._events: deque[AlertEvent] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._sent = self._failed = self._dropped = 0
        self._busy = False
        self._thread = threading.Thread(target=self._run, name=f"br2net-{name}", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> DeliveryCounts:
        """What became of the events so far."""
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

    def close(self, interrupt: Callable[[], None] | None = None) -> None:
        """Give what is queued a moment (0.4 s), then drop the rest; `interrupt` is called to end a delivery that hangs."""
        with self._changed:
            self._changed.wait_for(lambda: not self._events and not self._busy, DRAIN_S)
            already = self._closing.is_set()
            self._closing.set()
            left = len(self._events)
            self._events.clear()
            if left and not already:
                self._drop(left, "the program ends")
            self._changed.notify_all()
        if interrupt is not None:
            interrupt()
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
            outcome = self._deliver_with_retries(event)
            with self._changed:
                self._busy = False
                if outcome is None:
                    self._sent += 1
                else:
                    self._failed += 1
                self._changed.notify_all()

    def _deliver_with_retries(self, event: AlertEvent) -> str | None:
        """None when delivered, otherwise why not."""
        for tried in range(1, self._retry.tries + 1):
            try:
                self._deliver(event)
                return None
            except DeliveryError as error:
                reason = str(error)
                if not error.retry or tried == self._retry.tries:
                    break
            if self._closing.wait(self._retry.wait_s(tried)):
                break
        log.warning("%s: the event of %r was not delivered: %s.", self.name, event.alert, reason)
        return reason
