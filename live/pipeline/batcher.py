"""Frames of several cameras as one batch."""

import threading
from collections.abc import Callable, Sequence

from br2net.errors import CameraError
from br2net.live.camera import Camera, CapturedFrame


class Batcher:
    """Takes what is ready now: one frame of each camera that has one; waits only when none has."""

    def __init__(self, cameras: Sequence[Camera], notice: Callable[[str], None]) -> None:
        """Take from open cameras; `notice` is called when one of several is lost for good."""
        self._cameras = list(cameras)
        self._notice = notice
        self._ready = threading.Event()
        self._stopped = False
        self._last_error: CameraError | None = None
        for camera in cameras:
            camera.listen(self._ready.set)

    def stop(self) -> None:
        """Make `next_batch` return nothing more, also in a thread that waits in it."""
        self._stopped = True
        self._ready.set()

    def next_batch(self, most: int) -> list[CapturedFrame]:
        """Take at most `most` frames, of as many cameras; empty at the end.

        Raises:
            CameraError: at the end, if the last camera was lost for good.
        """
        while self._cameras and not self._stopped:
            self._ready.clear()  # before looking, so that a frame that comes after that sets it again
            frames = self._take(most)
            if frames:
                return frames
            if self._cameras:
                self._ready.wait()
        if self._last_error is not None and not self._stopped:
            raise self._last_error
        return []

    def _take(self, most: int) -> list[CapturedFrame]:
        frames: list[CapturedFrame] = []
        for camera in list(self._cameras):
            if len(frames) == most:
                break
            frame, self._last_error = None, None
            try:
                frame = camera.take()
            except CameraError as error:
                self._last_error = error
            if frame is None and not camera.exhausted:
                continue
            self._cameras.remove(camera)
            if frame is not None:
                frames.append(frame)
                self._cameras.append(camera)  # every camera has its turn, also when there are more than `most`
            elif self._last_error is not None and self._cameras:
                self._notice(str(self._last_error))
        return frames
