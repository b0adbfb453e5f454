"""A source of frames, read by a background thread."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from br2net.errors import Br2netError, CameraError
from br2net.live.buffer import Buffer, BufferPolicy
from br2net.live.camera.capture import CaptureReader
from br2net.live.camera.frame import CapturedFrame
from br2net.live.camera.http import open_mjpeg
from br2net.live.camera.options import CameraOptions
from br2net.live.camera.reader import FrameReader, ImagesReader
from br2net.live.camera.source import Source, SourceKind, parse_source
from br2net.live.camera.timing import AdaptiveSkip, SourceClock
from br2net.runtime.preprocessing import resize, to_bgr
from br2net.types import Closing, Frame, PixelFormat

TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
BUFFER_FRAMES = {BufferPolicy.DROP_OLDEST: 1, BufferPolicy.WAIT: 3}
JOIN_SLACK_S = 1.0


@dataclass(frozen=True)
class CameraStatistics:
    """What became of the frames so far.

    Attributes:
        captured: frames that the source gave, damaged ones included.
        dropped: decoded, and replaced by a newer one before anybody took them.
        skipped: left out evenly, since the device does not keep up.
        thinned: left out for the rate that was asked for.
        damaged: could not be decoded.
        reconnects: how often a lost source came back.
        stride: every `stride`-th frame is taken now.
    """

    captured: int
    dropped: int
    skipped: int
    thinned: int
    damaged: int
    reconnects: int
    stride: int


class Camera(Closing):
    """A device, stream, file, folder or pipeline as a source of frames.

    Frames are captured in a background thread, which `close` joins. A live source that is lost is opened again, with
    growing waits, until it is back.

    Attributes:
        options: what was asked for.
        name: for people, without passwords.
        policy: of the buffer, in force; of an HTTP address known for certain once it is open.
        rate: frames a second that the source says it has, or that were asked for; 0 where neither is known.

    Example:
        >>> with Camera("rtsp://192.168.0.7/stream") as camera:
        ...     for item in camera:
        ...         print(item.index, item.timestamp, item.frame.shape)
    """

    def __init__(
        self, source: str | int | Path, options: CameraOptions | None = None, *, name: str | None = None
    ) -> None:
        """Understand the source; `open`, `with` or the first frame asked for opens it.

        Args:
            source: device number, `csi://0`, `v4l2:///dev/video0`, `rtsp://…`, `http://…` (MJPEG, or what FFmpeg reads), a
                video file, a folder of images, or a GStreamer pipeline (`… ! …`).
            options: size, rate, rotation, format, buffer policy, reconnection.
            name: for people; the source's own if None.

        Raises:
            CameraError: if the source is not understood, or names a file that is not there.
        """
        self._source = parse_source(source)
        self.options = options or CameraOptions()
        self.name = name or self._source.name
        self.policy = self._policy(self._source.live)
        self.rate = 0.0
        self._stop = threading.Event()
        self._listener: Callable[[], None] = lambda: None
        self._reader: FrameReader | None = None
        self._buffer: Buffer[CapturedFrame] | None = None
        self._thread: threading.Thread | None = None
        self._error: Br2netError | None = None
        self._captured = self._thinned = self._skipped = self._reconnects = self._damaged_before = 0
        self._stride = 1

    def open(self) -> "Camera":
        """Open the source and begin to capture.

        Raises:
            CameraError: if it cannot be opened, or was closed.
            MissingDependencyError: if this OpenCV cannot read such sources.
        """
        if self._stop.is_set():
            raise CameraError(f"{self.name} was closed; make a new Camera.")
        if self._thread is None:
            reader = _open_reader(self._source, self.options)
            self.policy = self._policy(reader.live)
            self.rate = min(filter(None, (reader.rate, self.options.fps)), default=0.0)
            self._reader = reader
            self._buffer = Buffer(BUFFER_FRAMES[self.policy], self.policy, lambda: self._listener())
            self._thread = threading.Thread(target=self._capture, args=(self._buffer,), name=f"capture {self.name}")
            self._thread.daemon = True  # a driver that hangs must not keep the program from ending
            self._thread.start()
        return self

    @property
    def statistics(self) -> CameraStatistics:
        """What became of the frames so far."""
        reader, buffer = self._reader, self._buffer
        return CameraStatistics(
            captured=self._captured,
            dropped=buffer.dropped if buffer else 0,
            skipped=self._skipped,
            thinned=self._thinned,
            damaged=self._damaged_before + (reader.damaged if reader else 0),
            reconnects=self._reconnects,
            stride=self._stride,
        )

    @property
    def exhausted(self) -> bool:
        """Whether no frame will ever come again."""
        return self._buffer is not None and self._buffer.exhausted

    def listen(self, listener: Callable[[], None]) -> None:
        """Have `listener` called, in the capture thread, after each frame and at the end."""
        self._listener = listener

    def take(self, timeout_s: float | None = 0.0) -> CapturedFrame | None:
        """Take the oldest frame that waits, or wait for one at most `timeout_s` (None: until the end).

        Returns:
            None if none came in time, or at the end (`exhausted`).

        Raises:
            CameraError: at the end, if the source was lost for good.
        """
        if self._buffer is None:
            self.open()
        assert self._buffer is not None
        frame = self._buffer.take(timeout_s)
        if frame is None and self._error is not None and self.exhausted:
            raise self._error
        return frame

    def __iter__(self) -> Iterator[CapturedFrame]:
        while (frame := self.take(None)) is not None:
            yield frame

    def close(self) -> None:
        """Stop capturing, free the source and join the thread. Closing twice does no harm.

        FFmpeg cannot be interrupted: of a stream that is silent just now, its wait of `timeout_s` is waited for.
        """
        self._stop.set()
        if self._buffer is not None:
            self._buffer.discard()
        reader, thread = self._reader, self._thread
        if reader is not None:
            reader.interrupt()
        if thread is not None and thread is not threading.current_thread():
            thread.join(self.options.timeout_s + JOIN_SLACK_S)

    def __enter__(self) -> "Camera":
        return self.open()

    def _policy(self, live: bool) -> BufferPolicy:
        return self.options.policy or (BufferPolicy.DROP_OLDEST if live else BufferPolicy.WAIT)

    def _capture(self, buffer: Buffer[CapturedFrame]) -> None:
        """Body of the thread: deliver frames, and open a lost source again."""
        try:
            while (reader := self._reader) is not None:
                self._deliver(reader, buffer)
                self._reader = None
                reader.close()
                self._damaged_before += reader.damaged
                if reader.live and not self._stop.is_set():
                    self._reader = self._open_again()
        except Br2netError as error:
            self._error = error
        finally:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
            buffer.end()

    def _deliver(self, reader: FrameReader, buffer: Buffer[CapturedFrame]) -> None:
        """Hand frames over until the source ends or is lost."""
        clock = SourceClock(reader, self.options, paced=not reader.live and self.policy is BufferPolicy.DROP_OLDEST)
        adapts = self.options.skip and self.policy is BufferPolicy.DROP_OLDEST
        skip = AdaptiveSkip(time.perf_counter()) if adapts else None
        while not self._stop.is_set():
            if not clock.wait(self._stop):
                return
            began = time.perf_counter()
            if not reader.grab():
                return
            index = self._captured
            self._captured += 1
            captured_at = time.perf_counter() if reader.live else began
            timestamp = clock.timestamp()
            if not clock.is_due():
                self._thinned += 1
                continue
            if index % self._stride:
                self._skipped += 1
                continue
            data = reader.retrieve()
            pixels = reader.pixels
            if data is None:
                continue
            if not reader.turned and _is_to_be_shaped(self.options, pixels.size_of(data)):
                data, pixels = _shaped(to_bgr(data, pixels), self.options), PixelFormat.BGR
            capture_ms = (time.perf_counter() - captured_at) * 1000.0
            dropped_before = buffer.dropped
            if not buffer.put(CapturedFrame(self.name, index, timestamp, data, captured_at, capture_ms, pixels)):
                return
            if skip is not None and buffer.wanted:
                self._stride = skip.update(buffer.dropped - dropped_before, time.perf_counter())

    def _open_again(self) -> FrameReader | None:
        """Open the lost source again, with growing waits; None if the camera is closed while it waits.

        Raises:
            CameraError: if it stays away for longer than the options allow.
        """
        lost_at = time.monotonic()
        wait_s = self.options.backoff_s
        while not self._stop.wait(wait_s):
            try:
                reader = _open_reader(self._source, self.options)
            except Br2netError as error:
                give_up_s = self.options.give_up_s
                if give_up_s is not None and time.monotonic() - lost_at >= give_up_s:
                    raise CameraError(f"{self.name} was lost and did not come back within {give_up_s:g} s.") from error
                wait_s = min(self.options.longest_backoff_s, max(2.0 * wait_s, 0.05))
                continue
            self._reconnects += 1
            return reader
        return None


def make_cameras(sources: Sequence[str | int | Path], options: CameraOptions | None = None) -> list[Camera]:
    """Make a camera for each source; those of the same name get numbers, such as `video.mp4 #2`.

    Raises:
        CameraError: if a source is not understood.
    """
    cameras: list[Camera] = []
    for source in sources:
        item = Camera(source, options)
        alike = sum(other.name == item.name or other.name.startswith(f"{item.name} #") for other in cameras)
        cameras.append(Camera(source, options, name=f"{item.name} #{alike + 1}") if alike else item)
    return cameras


def _open_reader(source: Source, options: CameraOptions) -> FrameReader:
    if source.kind is SourceKind.IMAGES:
        return ImagesReader(source, options)
    mjpeg = open_mjpeg(source, options) if source.kind is SourceKind.HTTP else None
    return mjpeg or CaptureReader(source, options)


def _is_to_be_shaped(options: CameraOptions, size: tuple[int, int]) -> bool:
    return options.rotate != 0 or options.size not in (None, size)


def _shaped(frame: Frame, options: CameraOptions) -> Frame:
    """The frame `(H, W, 3)` at the size and rotation asked for."""
    if options.size is not None:
        frame = resize(frame, *options.size)
    return np.asarray(cv2.rotate(frame, TURNS[options.rotate]), dtype=np.uint8) if options.rotate else frame
