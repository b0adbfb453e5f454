"""Sources that OpenCV reads: devices, files, streams and GStreamer pipelines."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from br2net.errors import CameraError, MissingDependencyError
from br2net.live.camera.gstreamer import csi_pipeline, missing_elements, with_appsink
from br2net.live.camera.options import CameraOptions
from br2net.live.camera.reader import FrameReader
from br2net.live.camera.source import Source, SourceKind
from br2net.runtime.images import quiet_opencv
from br2net.types import Frame, PixelFormat

FFMPEG_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
LOW_DELAY = "fflags;nobuffer|flags;low_delay|analyzeduration;500000"
LARGEST_RATE = 1000.0  # what is above is no rate but a container's time base
RAW_FOURCCS = (cv2.VideoWriter.fourcc(*"YUYV"), cv2.VideoWriter.fourcc(*"NV12"))  # delivered without conversion
_environment = threading.Lock()


@contextmanager
def open_video(path: str | os.PathLike[str], name: str | None = None) -> Iterator[cv2.VideoCapture]:
    """Open a video file for reading, and release it at the end of the block; `name` stands for it in errors.

    Raises:
        CameraError: if the file is missing, empty, damaged or not a video.
    """
    with quiet_opencv():
        capture = cv2.VideoCapture(os.fspath(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise CameraError(_why_no_video(Path(path), name))
        yield capture
    finally:
        capture.release()


def every_frame(capture: cv2.VideoCapture, stride: int = 1) -> Iterator[tuple[int, Frame]]:
    """Yield the number and the frame, uint8 `(H, W, 3)` BGR, of every `stride`-th frame; the others are not converted."""
    index = 0
    while capture.grab():
        if index % stride == 0:
            good, pixels = capture.retrieve()
            if good and pixels is not None:
                yield index, np.ascontiguousarray(pixels, dtype=np.uint8)
        index += 1


class CaptureReader(FrameReader):
    """Reads through `cv2.VideoCapture`."""

    def __init__(self, source: Source, options: CameraOptions) -> None:
        self.turned = source.kind is SourceKind.CSI
        self._name = source.name
        with quiet_opencv():
            self._capture = _open(source, options)
        if not self._capture.isOpened():
            self._capture.release()
            raise CameraError(_why_not(source))
        is_file = source.kind is SourceKind.HTTP and self._capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0
        self.live = source.live and not is_file
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.rate = rate if 0.0 < rate <= LARGEST_RATE else 0.0
        self._height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))

    def grab(self) -> bool:
        """Wait for the next frame."""
        try:
            return bool(self._capture.grab())
        except cv2.error:  # a stream that breaks off inside a packet
            return False

    def retrieve(self) -> Frame | None:
        """Return the frame as OpenCV gives it: NV12, YUYV or BGR; grey is converted to BGR.

        Raises:
            CameraError: if NV12 or YUYV frames have an odd width or height.
        """
        try:
            good, pixels = self._capture.retrieve()
        except cv2.error:
            good, pixels = False, None
        if not good or pixels is None or not pixels.size:
            self.damaged += 1
            return None
        if pixels.ndim == 3 and pixels.shape[2] == 2:
            self.pixels = PixelFormat.YUYV
        elif pixels.ndim == 2 and len(pixels) == self._height * 3 // 2:  # luma, and half as many rows of chroma
            self.pixels = PixelFormat.NV12
        else:
            self.pixels = PixelFormat.BGR
            if pixels.ndim == 2:
                pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
            return np.ascontiguousarray(pixels[..., :3], dtype=np.uint8)
        if pixels.shape[1] % 2 or (self.pixels is PixelFormat.NV12 and self._height % 2):
            raise CameraError(
                f"Frames of {self._name} in {self.pixels.name} must have an even width and height, "
                f"got {pixels.shape[1]}x{self._height}. End the pipeline in `videoconvert ! video/x-raw, format=BGR`."
            )
        return np.ascontiguousarray(pixels, dtype=np.uint8)

    def close(self) -> None:
        """Release the device or file."""
        self._capture.release()


def _open(source: Source, options: CameraOptions) -> cv2.VideoCapture:
    if source.kind is SourceKind.DEVICE:
        return _open_device(source, options)
    if source.kind in (SourceKind.CSI, SourceKind.GSTREAMER):
        if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
            raise MissingDependencyError(
                f"{source.name} needs an OpenCV with GStreamer, and this one has none. Use the system's OpenCV (JetPack's, "
                "or the package python3-opencv) in place of pip's opencv-python."
            )
        is_csi = source.kind is SourceKind.CSI
        pipeline = csi_pipeline(int(source.address), options) if is_csi else with_appsink(source.address, source.live)
        if missing := missing_elements(pipeline):
            raise CameraError(f"GStreamer has no {' and no '.join(missing)} here, which {source.name} needs.")
        return cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
    if source.kind is SourceKind.FILE:
        return cv2.VideoCapture(source.address, cv2.CAP_FFMPEG)
    timeout_ms = int(options.timeout_s * 1000.0)
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
    if source.kind is SourceKind.HTTP:
        return cv2.VideoCapture(source.address, cv2.CAP_FFMPEG, limits)
    with _ffmpeg_options(
        LOW_DELAY + (f"|rtsp_transport;{options.transport}" if source.address.lower().startswith("rtsp") else "")
    ):
        return cv2.VideoCapture(source.address, cv2.CAP_FFMPEG, limits)


def _open_device(source: Source, options: CameraOptions) -> cv2.VideoCapture:
    # By default OpenCV waits ten seconds for a frame of a device that was unplugged.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(max(1, round(options.timeout_s))))
    is_number = source.address.isdecimal()
    backend = cv2.CAP_ANY if is_number and options.fourcc is None else cv2.CAP_V4L2
    capture = cv2.VideoCapture(int(source.address) if is_number else source.address, backend)
    if options.fourcc is not None:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*options.fourcc))
    if options.size is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, options.size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, options.size[1])
    if options.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, options.fps)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what waits in the driver only grows old
    if not capture.isOpened():
        return capture
    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    if options.fourcc is not None and code != cv2.VideoWriter.fourcc(*options.fourcc):
        capture.release()
        raise CameraError(
            f"{source.name} must offer {options.fourcc} at this size, and does not. Choose another --fourcc or --size; "
            "`v4l2-ctl --list-formats-ext` lists what it offers."
        )
    if capture.getBackendName() == "V4L2" and code in RAW_FOURCCS:
        capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
    return capture


@contextmanager
def _ffmpeg_options(text: str) -> Iterator[None]:
    """OpenCV takes FFmpeg's options from the environment alone, and reads it while it opens. A user's own are kept."""
    with _environment:
        own = os.environ.get(FFMPEG_OPTIONS)
        os.environ[FFMPEG_OPTIONS] = own or text
        try:
            yield
        finally:
            if own is None:
                del os.environ[FFMPEG_OPTIONS]


def _why_not(source: Source) -> str:
    if source.kind is SourceKind.DEVICE:
        device = f"/dev/video{int(source.address)}" if source.address.isdecimal() else source.address
        return f"There is no camera at {device}, or another program has it open."
    if source.kind is SourceKind.CSI:
        return f"There is no CSI camera at {source.name}, or another program has it open."
    if source.kind is SourceKind.GSTREAMER:
        return f"The GStreamer pipeline {source.address!r} does not start; gst-launch-1.0 says why."
    if source.kind is SourceKind.FILE:
        return _why_no_video(Path(source.address))
    return f"Nothing can be read from {source.name}."


def _why_no_video(path: Path, name: str | None = None) -> str:
    if not path.is_file():
        return f"There is no file {name or path}."
    reason = "empty" if path.stat().st_size == 0 else "damaged, or not a video that OpenCV can read"
    return f"{name or path} is {reason}."
