"""An alert going on or off, and the interface of what delivers that."""

import json
import uuid
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Literal, Protocol

State = Literal["on", "off"]


@dataclass(frozen=True)
class AlertEvent:
    """One edge of one alert.

    Attributes:
        alert: text of the rule.
        state: `on` or `off`.
        camera: name of the source.
        frame: number of the frame at which it happened.
        timestamp: of that frame, seconds since the epoch.
        value: the quantity at that frame.
        threshold: value that it is compared with to go on.
        release: value that it has to come back to, to go off.
        since: seconds since the epoch when the comparison began to hold.
        duration_s: timestamp - since.
        id: the same however often one event is delivered, so that a receiver recognises a repetition.
    """

    alert: str
    state: State
    camera: str
    frame: int
    timestamp: float
    value: float
    threshold: float
    release: float
    since: float
    duration_s: float
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def to_json(self) -> str:
        """Return one line of JSON: the attributes, `type` = `alert`, and `time`, the timestamp as ISO 8601 in UTC."""
        time = datetime.fromtimestamp(self.timestamp, timezone.utc).isoformat(timespec="milliseconds")
        return json.dumps({"type": "alert", **asdict(self), "time": time.replace("+00:00", "Z")}, allow_nan=False)


@dataclass(frozen=True)
class DeliveryCounts:
    """Numbers of the events given to a target, by their outcome.

    Attributes:
        sent: delivered.
        failed: given up after all tries, or refused by the receiver.
        dropped: never tried, since the queue was full or the program ended.
        waiting: still in the queue.
    """

    sent: int = 0
    failed: int = 0
    dropped: int = 0
    waiting: int = 0


class EventTarget(Protocol):
    """Takes events without ever waiting for the other end. Its name, for example `webhook`, is a label in metrics."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def counts(self) -> DeliveryCounts: ...  # noqa: D102

    def send(self, event: AlertEvent) -> None:
        """Take one event; returns at once."""

    def close(self) -> None:
        """Deliver what can be delivered within a moment, and end. Closing twice does no harm."""
