"""Between the pipeline and the viewers: each frame is encoded once, and nobody waits for a slow viewer."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from br2net.live.alerts.event import AlertEvent
from br2net.live.pipeline.result import FrameResult
from br2net.live.web.channel import Channel
from br2net.live.web.options import WebOptions
from br2net.live.web.packets import encode, frame_record, to_json

CREDIT = 2
TEXTS = 256
EVENTS_KEPT = 100
JOIN_S = 1.0


@dataclass(eq=False)
class Viewer:
    """One page. Its fields are the event loop's, but for `hungry`, which the encoder reads.

    Attributes:
        channel: the camera it watches.
        credit: how many frames may still be sent before the page has answered for one.
        seen: sequence number of the last frame given to it.
        packet: to be sent next, if any.
        texts: messages to be sent before it.
        state_due: whether it should be told the state now.
        state_sent_s: when it was told last, by the clock of the event loop.
        wake: set when there is something to send.
        sent: frames given to it.
        lost: frames that passed it by.
    """

    channel: Channel
    credit: int = CREDIT
    seen: int = -1
    packet: bytes | None = None
    texts: deque[str] = field(default_factory=lambda: deque(maxlen=TEXTS))
    state_due: bool = True
    state_sent_s: float = 0.0
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0
    lost: int = 0

    @property
    def hungry(self) -> bool:
        """Whether a frame could be sent at once."""
        return self.credit > 0 and self.packet is None


@dataclass(eq=False)
class Listener:
    """One program that follows frames or events as JSON: the newest frame, or a bounded queue of events."""

    wants: str
    texts: deque[str]
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Hub:
    """Takes results in the pipeline's thread, encodes in its own, hands out in the event loop's.

    A frame is encoded only while a viewer of its camera is ready for it. A viewer answers for each frame, and gets at
    most two ahead of its answers: a slow link shows fewer frames, not older ones, and a page that has stopped reading
    costs two frames of memory.
    """

    def __init__(self, cameras: Sequence[str], options: WebOptions) -> None:
        self._options = options
        self._channels = {name: Channel(name) for name in cameras}
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.viewers: set[Viewer] = set()
        self.listeners: set[Listener] = set()
        self.events: deque[AlertEvent] = deque(maxlen=EVENTS_KEPT)
        self.encoded = self.sent = self.lost = 0
        self._for_programs: FrameResult | None = None
        self._programs_due = False
        self._thread = threading.Thread(target=self._encode_all, name="br2net-web-encoder", daemon=True)
        self._thread.start()

    # The pipeline's thread.

    def offer(self, result: FrameResult) -> None:
        """Take one result; returns at once."""
        with self._changed:
            channel = self._channels.get(result.camera)
            if channel is None:
                channel = self._channels[result.camera] = Channel(result.camera)
            channel.take(result)
            self._changed.notify_all()
        self._for_programs = result
        if not self._programs_due and any(listener.wants == "frames" for listener in tuple(self.listeners)):
            self._programs_due = True
            self._call(self._hand_record)

    def tell(self, event: AlertEvent) -> None:
        """Take one event; returns at once."""
        self.events.append(event)
        self._call(self._hand_event, event.to_json())

    def close(self) -> None:
        """End the encoder. Viewers are the server's to close."""
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
        self._thread.join(JOIN_S)

    # Any thread.

    @property
    def channels(self) -> tuple[Channel, ...]:
        """All cameras, in the order given or met."""
        with self._changed:
            return tuple(self._channels.values())

    def channel(self, name: str | None) -> Channel:
        """The camera of that name, or the first one."""
        with self._changed:
            if name in self._channels:
                return self._channels[name]
            return next(iter(self._channels.values()))

    def lock(self) -> threading.Condition:
        """Held while a channel is read as a whole."""
        return self._changed

    def state_changed(self) -> None:
        """Have every viewer told the state now."""
        self._call(self._mark_state_due)

    # The event loop's thread.

    def run_in(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Say which event loop hands out; None when it ends."""
        self._loop = loop

    def join(self, name: str | None) -> Viewer:
        """A new viewer of a camera; it is shown the newest frame, even if that is old."""
        viewer = Viewer(self.channel(name))
        self.viewers.add(viewer)
        self.feed(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer."""
        self.viewers.discard(viewer)

    def watch(self, viewer: Viewer, name: str) -> None:
        """Let a viewer watch another camera."""
        viewer.channel, viewer.seen, viewer.packet = self.channel(name), -1, None
        self.feed(viewer)

    def answered(self, viewer: Viewer) -> None:
        """The page has shown a frame: it may have another."""
        viewer.credit = min(CREDIT, viewer.credit + 1)
        self.feed(viewer)

    def feed(self, viewer: Viewer) -> None:
        """Give a viewer the newest frame if it is encoded, or have it encoded."""
        with self._changed:
            channel = viewer.channel
            fresh = channel.packet_sequence == channel.sequence
            packet, sequence = channel.packet, channel.packet_sequence
            if not fresh:
                self._changed.notify_all()
        if fresh and packet and viewer.hungry:
            self._give(viewer, packet, sequence)

    def taken(self, viewer: Viewer) -> bytes | None:
        """What to send to a viewer now; it costs one credit."""
        packet, viewer.packet = viewer.packet, None
        if packet is not None:
            viewer.credit -= 1
            viewer.sent += 1
            self.sent += 1
        return packet

    def _give(self, viewer: Viewer, packet: bytes, sequence: int) -> None:
        if sequence <= viewer.seen:
            return
        if viewer.seen >= 0:
            lost = sequence - viewer.seen - 1
            viewer.lost += lost
            self.lost += lost
        viewer.seen, viewer.packet = sequence, packet
        viewer.wake.set()

    def _hand_out(self, channel: Channel, packet: bytes, sequence: int) -> None:
        for viewer in self.viewers:
            if viewer.channel is channel and viewer.hungry:
                self._give(viewer, packet, sequence)

    def _hand_record(self) -> None:
        self._programs_due = False  # before the result is looked at: one that comes now makes another call
        if self._for_programs is not None:
            self._hand_text("frames", to_json(frame_record(self._for_programs)))

    def _hand_event(self, text: str) -> None:
        self._hand_text("events", text)
        for viewer in self.viewers:
            viewer.texts.append(text)
            viewer.wake.set()

    def _hand_text(self, wants: str, text: str) -> None:
        for listener in self.listeners:
            if listener.wants == wants:
                listener.texts.append(text)
                listener.wake.set()

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

    def _due(self) -> list[Channel]:
        wanted = {id(viewer.channel) for viewer in tuple(self.viewers) if viewer.hungry}
        return [c for c in self._channels.values() if id(c) in wanted and c.sequence > c.packet_sequence]

    def _encode_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing.is_set() or bool(self._due()))
                if self._closing.is_set():
                    return
                work = [(channel, channel.newest, channel.sequence) for channel in self._due()]
            for channel, result, sequence in work:
                if result is None:
                    continue
                packet = encode(result, self._options.largest_width, self._options.quality)
                with self._changed:
                    channel.packet, channel.packet_sequence = packet, sequence
                    self.encoded += 1
                self._call(self._hand_out, channel, packet, sequence)
            self._closing.wait(1 / self._options.largest_fps)
