"""The hub between pipeline and viewers: each frame is encoded once, and a slow viewer holds up nobody."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from br2net.live.alerts import AlertEvent
from br2net.live.pipeline.result import FrameResult
from br2net.live.web.options import WebOptions
from br2net.live.web.packets import encode

CREDIT = 2
TEXTS = 256
EVENTS_KEPT = 100
JOIN_S = 1.0
HISTORY_STEP_S = 0.5
HISTORY_S = 900.0
RATE_WEIGHT = 0.05


class Feed:
    """What is known of one camera: its newest result, its rate, its last minutes. The caller holds the hub's lock."""

    def __init__(self, camera: str) -> None:
        self.camera = camera
        self.newest: FrameResult | None = None
        self.sequence = 0
        self.packet = b""
        self.packet_sequence = 0
        self.fps = 0.0
        self._arrived_s: float | None = None
        self._means: deque[tuple[float, float]] = deque(maxlen=round(HISTORY_S / HISTORY_STEP_S))
        self._sum, self._count, self._step_from = 0.0, 0, 0.0

    def take(self, result: FrameResult) -> None:
        """Note one result."""
        now = time.monotonic()
        if self._arrived_s is not None and now > self._arrived_s:
            rate = 1 / (now - self._arrived_s)
            self.fps = rate if self.fps == 0 else 1 / ((1 - RATE_WEIGHT) / self.fps + RATE_WEIGHT / rate)
        self._arrived_s = now
        self.newest = result
        self.sequence += 1
        if not self._count:
            self._step_from = result.timestamp
        self._sum += result.blurred_fraction
        self._count += 1
        if not 0 <= result.timestamp - self._step_from < HISTORY_STEP_S:
            self._means.append((result.timestamp, self._sum / self._count))
            self._sum, self._count = 0.0, 0

    def seconds_without(self) -> float | None:
        """Return the seconds since the last result; None before the first."""
        return None if self._arrived_s is None else time.monotonic() - self._arrived_s

    def history(self) -> tuple[list[float], list[float]]:
        """Return means of the blurred fraction over half seconds, for fifteen minutes.

        Returns:
            Timestamps of the ends of the half seconds, seconds since the epoch; and their means, 0..1.
        """
        return [time_s for time_s, _ in self._means], [round(mean, 4) for _, mean in self._means]


@dataclass(eq=False)
class Viewer:
    """One page. Its fields belong to the event loop, except `hungry`, which the encoder reads too.

    Attributes:
        feed: camera that it watches.
        credit: number of frames that may be sent before the page has answered for one.
        seen: sequence number of the last frame given to it.
        packet: packet to be sent next, if any.
        texts: messages to be sent before it.
        state_due: True if the state should be sent now.
        state_sent_s: time when it was sent last, by the clock of the event loop.
        wake: set when there is something to send.
        sent: number of frames sent to it.
    """

    feed: Feed
    credit: int = CREDIT
    seen: int = -1
    packet: bytes | None = None
    texts: deque[str] = field(default_factory=lambda: deque(maxlen=TEXTS))
    state_due: bool = True
    state_sent_s: float = 0.0
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0

    @property
    def hungry(self) -> bool:
        """Whether a frame could be sent at once."""
        return self.credit > 0 and self.packet is None


class Hub:
    """Takes results in the pipeline's thread, encodes in its own, hands out in the event loop's.

    A frame is encoded only while a viewer of its camera is ready for it. A viewer answers for each frame, and gets at
    most two ahead of its answers: a slow link shows fewer frames, not older ones, and a page that has stopped reading
    costs two frames of memory.
    """

    def __init__(self, cameras: Sequence[str], options: WebOptions) -> None:
        self._options = options
        self._feeds = {name: Feed(name) for name in cameras}
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.viewers: set[Viewer] = set()
        self.events: deque[AlertEvent] = deque(maxlen=EVENTS_KEPT)
        self.encoded = self.sent = self.lost = 0
        self._thread = threading.Thread(target=self._encode_all, name="br2net-web-encoder", daemon=True)
        self._thread.start()

    # The pipeline's thread.

    def offer(self, result: FrameResult) -> None:
        """Take one result; returns at once."""
        with self._changed:
            if result.camera not in self._feeds:
                self._feeds[result.camera] = Feed(result.camera)
            self._feeds[result.camera].take(result)
            self._changed.notify_all()

    def show_event(self, event: AlertEvent) -> None:
        """Take one event; returns at once."""
        self.events.append(event)
        self._call(self._send_text, event.to_json())

    def close(self) -> None:
        """End the encoder. Viewers are the server's to close."""
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
        self._thread.join(JOIN_S)

    # Any thread.

    @property
    def feeds(self) -> tuple[Feed, ...]:
        """All cameras, in the order in which they were named or first seen."""
        with self._changed:
            return tuple(self._feeds.values())

    def feed_of(self, camera: str | None) -> Feed:
        """Return the feed of that camera, or the first one."""
        with self._changed:
            return self._feeds.get(camera or "") or next(iter(self._feeds.values()))

    def history(self, feed: Feed) -> tuple[list[float], list[float]]:
        """Return `feed.history()` as of one moment."""
        with self._changed:
            return feed.history()

    def send_state(self) -> None:
        """Send every viewer the state now."""
        self._call(self._mark_state_due)

    # The event loop's thread.

    def run_in(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Set the event loop that hands out; None when it ends."""
        self._loop = loop

    def join(self, camera: str | None) -> Viewer:
        """Return a new viewer of a camera; it is shown the newest frame, even if that is old."""
        viewer = Viewer(self.feed_of(camera))
        self.viewers.add(viewer)
        self._serve(viewer)
        return viewer

    def watch(self, viewer: Viewer, camera: str) -> None:
        """Let a viewer watch another camera."""
        viewer.feed, viewer.seen, viewer.packet = self.feed_of(camera), -1, None
        self._serve(viewer)

    def answered(self, viewer: Viewer) -> None:
        """Note that the page has shown a frame: it may have another."""
        viewer.credit = min(CREDIT, viewer.credit + 1)
        self._serve(viewer)

    def taken(self, viewer: Viewer) -> bytes | None:
        """Return the packet to send to a viewer now, if any; it costs one credit."""
        packet, viewer.packet = viewer.packet, None
        if packet is not None:
            viewer.credit -= 1
            viewer.sent += 1
            self.sent += 1
        return packet

    def _serve(self, viewer: Viewer) -> None:
        """Give a viewer the newest frame if it is encoded, or have it encoded."""
        with self._changed:
            feed = viewer.feed
            fresh = feed.packet_sequence == feed.sequence
            packet, sequence = feed.packet, feed.packet_sequence
            if not fresh:
                self._changed.notify_all()
        if fresh and packet and viewer.hungry:
            self._give(viewer, packet, sequence)

    def _give(self, viewer: Viewer, packet: bytes, sequence: int) -> None:
        if sequence <= viewer.seen:
            return
        if viewer.seen >= 0:
            self.lost += sequence - viewer.seen - 1
        viewer.seen, viewer.packet = sequence, packet
        viewer.wake.set()

    def _hand_out(self, feed: Feed, packet: bytes, sequence: int) -> None:
        for viewer in self.viewers:
            if viewer.feed is feed and viewer.hungry:
                self._give(viewer, packet, sequence)

    def _send_text(self, text: str) -> None:
        for viewer in self.viewers:
            viewer.texts.append(text)
            viewer.wake.set()

    def _mark_state_due(self) -> None:
        for viewer in self.viewers:
            viewer.state_due = True
            viewer.wake.set()

    def _call(self, function: Callable[..., None], *args: object) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it has just been closed
                loop.call_soon_threadsafe(function, *args)

    # The encoder's thread.

    def _due(self) -> list[Feed]:
        wanted = {id(viewer.feed) for viewer in tuple(self.viewers) if viewer.hungry}
        return [feed for feed in self._feeds.values() if id(feed) in wanted and feed.sequence > feed.packet_sequence]

    def _encode_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing.is_set() or bool(self._due()))
                if self._closing.is_set():
                    return
                work = [(feed, feed.newest, feed.sequence) for feed in self._due()]
            for feed, result, sequence in work:
                if result is None:
                    continue
                packet = encode(result, self._options.largest_width, self._options.quality)
                with self._changed:
                    feed.packet, feed.packet_sequence = packet, sequence
                    self.encoded += 1
                self._call(self._hand_out, feed, packet, sequence)
            self._closing.wait(1 / self._options.largest_fps)
