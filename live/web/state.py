"""What the page is told besides frames: the state, each second; the last minutes; the last events."""

import json
import threading
import time
from dataclasses import asdict
from typing import Any, Literal

from br2net import __version__
from br2net.live.web.channel import Channel
from br2net.live.web.hub import Hub
from br2net.live.web.options import About
from br2net.live.web.packets import to_json

Health = Literal["ok", "waiting", "stalled"]


class State:
    """Answers what is going on. Called in the event loop, but for `record`."""

    def __init__(self, about: About, hub: Hub, stale_after_s: float) -> None:
        self._about, self._hub, self._stale_after_s = about, hub, stale_after_s
        self._recording = threading.Lock()
        self._recording_since: float | None = None

    def health(self, channel: Channel) -> Health:
        """Whether frames of a camera arrive."""
        seconds = channel.seconds_without()
        if seconds is None:
            return "waiting"
        return "ok" if seconds <= self._stale_after_s else "stalled"

    def overall(self) -> tuple[Health, dict[str, Any]]:
        """The worst health of all cameras, and each camera's with the seconds since its last frame."""
        healths: dict[str, Any] = {}
        for channel in self._hub.channels:
            seconds = channel.seconds_without()
            healths[channel.name] = {
                "status": self.health(channel),
                "seconds_since_frame": None if seconds is None else round(seconds, 3),
            }
        found = {item["status"] for item in healths.values()}
        order: tuple[Health, ...] = ("stalled", "waiting", "ok")
        return next((status for status in order if status in found), "waiting"), healths

    def message(self, channel: Channel) -> str:
        """The state as a viewer of `channel` sees it, as JSON."""
        statistics = self._about.statistics().get(channel.name)
        recorder = self._about.recorder
        file = recorder.recording if recorder is not None else None
        since = self._recording_since if file is not None else None
        return to_json(
            {
                "type": "state",
                "version": __version__,
                "cameras": [item.name for item in self._hub.channels],
                "camera": channel.name,
                "status": self.health(channel),
                "model": self._about.model,
                "backend": self._about.backend,
                "fps": round(channel.fps, 2),
                "viewers": len(self._hub.viewers),
                "source": None if statistics is None else asdict(statistics),
                "recording": {
                    "available": recorder is not None,
                    "on": file is not None,
                    "file": None if file is None else file.name,
                    "failure": None if recorder is None else recorder.failure,
                    "seconds": None if since is None else round(time.monotonic() - since, 1),
                },
                "rules": [asdict(rule) for rule in self._about.rules],
            }
        )

    def history(self, channel: Channel) -> str:
        """The last fifteen minutes of a camera, as JSON."""
        with self._hub.lock():
            history = channel.history()
        return to_json({"type": "history", "camera": channel.name, **asdict(history)})

    def events(self) -> str:
        """The last hundred events, oldest first, as JSON."""
        return to_json({"type": "events", "events": [json.loads(event.to_json()) for event in tuple(self._hub.events)]})

    def record(self, on: bool) -> None:
        """Start or stop recording; doing so twice changes nothing. May take a while: not in the event loop.

        Raises:
            Br2netError: if the file cannot be written.
        """
        recorder = self._about.recorder
        if recorder is None:
            return
        with self._recording:
            if on and recorder.recording is None:
                recorder.start()
                self._recording_since = time.monotonic()
            elif not on and recorder.recording is not None:
                recorder.stop()
        self._hub.state_changed()

    @property
    def can_record(self) -> bool:
        """Whether there is a recorder."""
        return self._about.recorder is not None
