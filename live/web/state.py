"""State of the page besides frames: health, the state of each second, the last minutes, the last events."""

import json
import threading
import time
from dataclasses import asdict
from typing import Any, Literal

from br2net import __version__
from br2net.live.web.hub import Feed, Hub
from br2net.live.web.options import PageInfo
from br2net.live.web.packets import to_json

Health = Literal["ok", "waiting", "stalled"]
WORST_FIRST: tuple[Health, ...] = ("stalled", "waiting", "ok")


class State:
    """Gives the state as JSON, and starts and stops recording. Used in the event loop, except `record`."""

    def __init__(self, info: PageInfo, hub: Hub, stale_after_s: float) -> None:
        self._info, self._hub, self._stale_after_s = info, hub, stale_after_s
        self._recording = threading.Lock()
        self._recording_since: float | None = None

    def health(self, feed: Feed) -> Health:
        """Tell whether frames of a camera arrive."""
        seconds = feed.seconds_without()
        if seconds is None:
            return "waiting"
        return "ok" if seconds <= self._stale_after_s else "stalled"

    def overall(self) -> tuple[Health, dict[str, Any]]:
        """Return the worst health of all cameras, and each camera's with the seconds since its last frame."""
        healths: dict[str, Any] = {}
        for feed in self._hub.feeds:
            seconds = feed.seconds_without()
            since = None if seconds is None else round(seconds, 3)
            healths[feed.camera] = {"status": self.health(feed), "seconds_since_frame": since}
        found = {item["status"] for item in healths.values()}
        return next((health for health in WORST_FIRST if health in found), "waiting"), healths

    def message(self, feed: Feed) -> str:
        """Return the state for a viewer of `feed` as JSON."""
        statistics = self._info.statistics().get(feed.camera)
        recorder = self._info.recorder
        file = recorder.recording if recorder is not None else None
        since = self._recording_since if file is not None else None
        return to_json(
            {
                "type": "state",
                "version": __version__,
                "cameras": [item.camera for item in self._hub.feeds],
                "camera": feed.camera,
                "status": self.health(feed),
                "model": self._info.model,
                "backend": self._info.backend,
                "fps": round(feed.fps, 2),
                "viewers": len(self._hub.viewers),
                "source": None if statistics is None else asdict(statistics),
                "recording": {
                    "available": recorder is not None,
                    "on": file is not None,
                    "file": None if file is None else file.name,
                    "failure": None if recorder is None else recorder.failure,
                    "seconds": None if since is None else round(time.monotonic() - since, 1),
                },
                "rules": [asdict(rule) for rule in self._info.rules],
            }
        )

    def history(self, feed: Feed) -> str:
        """Return the last fifteen minutes of a camera as JSON."""
        timestamps, fractions = self._hub.history(feed)
        return to_json({"type": "history", "camera": feed.camera, "timestamps": timestamps, "fractions": fractions})

    def events(self) -> str:
        """Return the last hundred events, oldest first, as JSON."""
        return to_json({"type": "events", "events": [json.loads(event.to_json()) for event in tuple(self._hub.events)]})

    def record(self, on: bool) -> None:
        """Start or stop recording, if it is not so already. It may take a while: do not call it in the event loop.

        Raises:
            Br2netError: if the file cannot be written.
        """
        recorder = self._info.recorder
        if recorder is None:
            return
        with self._recording:
            if on and recorder.recording is None:
                recorder.start()
                self._recording_since = time.monotonic()
            elif not on and recorder.recording is not None:
                recorder.stop()
        self._hub.send_state()

    @property
    def can_record(self) -> bool:
        """Whether there is a recorder."""
        return self._info.recorder is not None
