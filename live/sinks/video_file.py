"""One video file that plays in real time, whatever the rate at which frames come."""

import os
from contextlib import ExitStack, suppress
from math import floor
from pathlib import Path

import cv2
import numpy as np

from br2net.errors import CameraError, InputError, SinkError
from br2net.files import check_writable, written_whole
from br2net.live.camera import open_video
from br2net.runtime.images import quiet_opencv
from br2net.types import Frame

SUFFIXES = (".mp4", ".mkv")
DEFAULT_RATE, LARGEST_RATE = 25.0, 120.0
LONGEST_GAP_S = 2.0  # a longer gap is cut out of the video: the source was away
RESERVE_BYTES = 4 << 20  # left free on the disk: the file needs room to be finished, and so do others
INDEX_BYTES = 64  # of a frame, in the index at the end of an MP4


class VideoFile:
    """Writes frames at a constant rate by their timestamps: one that is missing is filled by the one before.

    MPEG-4 part 2, which every build of OpenCV with FFmpeg writes. Frames whose size differs from the first one's are
    fitted into it, with black bars. The file appears under its name when it is closed.
    """

    def __init__(self, path: Path, rate: float, width: int, height: int) -> None:
        """Begin a file for frames of `width` x `height` pixels; a rate of 0 stands for 25.

        Raises:
            SinkError: if this OpenCV cannot write it.
        """
        self.path = path
        self._rate = min(rate or DEFAULT_RATE, LARGEST_RATE)
        self._size = (width - width % 2, height - height % 2)  # the codec halves the colour's resolution
        self._started: float | None = None
        self._frames = 0
        self._stack = ExitStack()
        self._temporary = self._stack.enter_context(written_whole(path))
        with quiet_opencv():
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._temporary), cv2.CAP_FFMPEG, code, self._rate, self._size)
        if not self._writer.isOpened():
            self._give_up()
            raise SinkError(f"This OpenCV cannot write {path}: it was built without FFmpeg's MPEG-4 encoder.")

    def write(self, frame: Frame, timestamp: float) -> None:
        """Add a frame `(H, W, 3)` BGR of that time, seconds.

        Raises:
            SinkError: if the disk is full; close the file then, which leaves it playable.
        """
        self._refuse_full_disk()
        started = timestamp if self._started is None else self._started
        behind = (timestamp - started) * self._rate - self._frames  # in frames: how many are missing before this one
        if not -self._rate * LONGEST_GAP_S < behind < self._rate * LONGEST_GAP_S:
            started += behind / self._rate
            behind = 0.0
        self._started = started
        if behind <= -1.0:  # more frames than the file has room for
            return
        fitted = self._fit(frame)
        for _ in range(1 + max(0, floor(behind))):
            self._writer.write(fitted)
            self._frames += 1

    def close(self) -> None:
        """Finish the file, and give it its name.

        Raises:
            SinkError: if it could not be finished; there is no file then.
        """
        if not self._writer.isOpened():
            return
        self._writer.release()
        if self._frames == 0:
            self._give_up()
            return
        try:
            with open_video(self._temporary):  # an MP4 without its index is not readable
                pass
        except CameraError as error:
            self._give_up()
            raise SinkError(f"{self.path} could not be finished, and was removed: the disk is full.") from error
        try:
            self._stack.close()
        except InputError as error:
            raise SinkError(str(error)) from error

    def _refuse_full_disk(self) -> None:
        disk = os.statvfs(self._temporary)
        if disk.f_bavail * disk.f_frsize < RESERVE_BYTES + INDEX_BYTES * self._frames:
            raise SinkError(
                f"The disk of {self.path} is full; the recording ends here, and the frames go on without it."
            )

    def _fit(self, frame: Frame) -> Frame:
        width, height = self._size
        own_height, own_width = frame.shape[:2]
        if (own_width - own_width % 2, own_height - own_height % 2) == self._size:
            return np.ascontiguousarray(frame[:height, :width])
        scale = min(width / own_width, height / own_height)
        inner = (max(1, round(own_width * scale)), max(1, round(own_height * scale)))
        fitted = np.zeros((height, width, 3), np.uint8)
        left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
        fitted[top : top + inner[1], left : left + inner[0]] = cv2.resize(frame, inner, interpolation=cv2.INTER_AREA)
        return fitted

    def _give_up(self) -> None:
        """Remove the temporary file, and leave what stood at `path` as it was."""
        self._stack.pop_all()
        with suppress(FileNotFoundError):
            self._temporary.unlink()


def check_video_path(path: Path) -> None:
    """Refuse what no video can be written to.

    Raises:
        InputError: if the suffix is another than .mp4 or .mkv, or the folder cannot be written to.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"A recording is a .mp4 or a .mkv file; {path} is neither.")
    if path.is_dir():
        raise InputError(f"{path} is a folder.")
    check_writable(path)
