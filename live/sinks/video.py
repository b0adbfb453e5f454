"""Results as video files: for the whole run, or between start and stop."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from br2net.errors import InputError, SinkError
from br2net.live.pipeline import FrameResult
from br2net.live.sinks.drawing import Drawing
from br2net.live.sinks.video_file import VideoFile, check_video_path

Rates = Callable[[str], float]


class VideoSink:
    """Records what is drawn of each camera: the first one's into `path`, that of others into `<stem>-2` and so on."""

    def __init__(self, path: Path, drawing: Drawing | None = None, rates: Rates = lambda camera: 0.0) -> None:
        """Record into `path` (.mp4, or .mkv, which stays readable when the machine dies while recording).

        Args:
            path: of the video.
            drawing: what is recorded; the overlay if None.
            rates: frames a second of a camera by its name; 0 where it is not known.

        Raises:
            InputError: if no video can be written there.
        """
        check_video_path(path)
        self._path = path
        self._drawing = drawing or Drawing()
        self.wanted = self._drawing.wanted
        self._rates = rates
        self._files: dict[str, VideoFile] = {}

    def write(self, result: FrameResult) -> None:
        """Add a frame.

        Raises:
            SinkError: if it cannot be written, as on a full disk.
        """
        file = self._files.get(result.camera)
        if file is None:
            number = len(self._files) + 1
            path = self._path if number == 1 else self._path.with_stem(f"{self._path.stem}-{number}")
            try:
                file = VideoFile(path, self._rates(result.camera), *result.captured.size)
            except InputError as error:
                raise SinkError(str(error)) from error
            self._files[result.camera] = file
        file.write(self._drawing.draw(result), result.timestamp)

    def close(self) -> None:
        """Finish all files.

        Raises:
            SinkError: if one could not be finished.
        """
        errors = []
        for file in self._files.values():
            try:
                file.close()
            except SinkError as error:
                errors.append(error)
        if errors:
            raise errors[0]


class Recorder:
    """A sink that records between `start` and `stop`, which any thread may call.

    Attributes:
        recording: the file that is being recorded, or None.
        failure: why the last recording ended by itself, in a sentence; None if it did not.
    """

    def __init__(self, folder: Path, drawing: Drawing | None = None, rates: Rates = lambda camera: 0.0) -> None:
        """Record into files of `folder`, named by the time at which they begin: `br2net-20260131-235959.mp4`."""
        self._folder = folder
        self._drawing = drawing
        self._rates = rates
        self._lock = threading.Lock()
        self._video: VideoSink | None = None
        self.recording: Path | None = None
        self.failure: str | None = None

    def start(self) -> Path:
        """Begin a recording, or keep the one that is on; return its path.

        Raises:
            InputError: if nothing can be written there.
        """
        with self._lock:
            if self.recording is None:
                stem = time.strftime("br2net-%Y%m%d-%H%M%S")
                path, number = self._folder / f"{stem}.mp4", 1
                while path.exists():
                    number += 1
                    path = self._folder / f"{stem}-{number}.mp4"
                self._video = VideoSink(path, self._drawing, self._rates)
                self.recording, self.failure = path, None
            return self.recording

    def stop(self) -> Path | None:
        """Finish the recording; return its path, or None if none was on.

        Raises:
            SinkError: if it could not be finished.
        """
        with self._lock:
            video, path = self._video, self.recording
            self._video = self.recording = None
            if video is not None:
                video.close()
            return path

    def write(self, result: FrameResult) -> None:
        """Add a frame, if a recording is on. One that fails ends, `failure` says why, and another may be started."""
        with self._lock:
            if self._video is None:
                return
            try:
                self._video.write(result)
            except SinkError as error:
                self.failure = str(error)
                with suppress(SinkError):  # the first sentence says enough
                    self._video.close()
                self._video = self.recording = None

    def close(self) -> None:
        """Finish the recording that is on."""
        self.stop()
