"""Events as JSON lines."""

import logging
from pathlib import Path

from br2net.files import cannot_write
from br2net.live.alerts.event import AlertEvent, DeliveryCounts

log = logging.getLogger(__name__)


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
        """What became of the events so far."""
        return DeliveryCounts(sent=self._sent, failed=self._failed)

    def send(self, event: AlertEvent) -> None:
        """Write one event. A disk that is full loses it, which is counted, and said the first time."""
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
