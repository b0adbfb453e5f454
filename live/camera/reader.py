"""The interface of what reads one source, and the choice of it."""

from abc import ABC, abstractmethod

from br2net.live.camera.options import CameraOptions
from br2net.live.camera.source import Source, SourceKind
from br2net.types import Frame


class FrameReader(ABC):
    """Reads one opened source. One thread uses it; `interrupt` alone may be called from another.

    Attributes:
        live: whether the source goes on by itself; when such a one ends, it was lost and is opened again.
        rate: frames a second that the source says it has; 0 where it does not say.
        turned: whether the source sizes and turns its frames by itself, as a CSI camera's pipeline does.
        damaged: frames so far that could not be decoded.
    """

    live: bool
    rate: float = 0.0
    turned: bool = False
    damaged: int = 0

    @abstractmethod
    def grab(self) -> bool:
        """Move on to the next frame, waiting for it; False at the end, or when the source is lost."""

    @abstractmethod
    def retrieve(self) -> Frame | None:
        """Decode the frame grabbed last: uint8 `(H, W, 3)` BGR, the caller's own; None if it is damaged."""

    @abstractmethod
    def close(self) -> None:
        """Free the source. Closing twice does no harm."""

    def interrupt(self) -> None:  # noqa: B027  # most sources cannot be interrupted, and end by their timeout
        """Make a `grab` that waits in another thread return soon."""


def open_reader(source: Source, options: CameraOptions) -> FrameReader:
    """Open a source.

    Raises:
        CameraError: if it cannot be opened.
        ImageError: if a folder of images cannot be read.
        MissingDependencyError: if this OpenCV cannot read such sources.
    """
    if source.kind is SourceKind.IMAGES:
        from br2net.live.camera.images import ImagesReader

        return ImagesReader(source, options)
    if source.kind is SourceKind.HTTP:
        from br2net.live.camera.http import open_http

        return open_http(source, options)
    from br2net.live.camera.capture import CaptureReader

    return CaptureReader(source, options)
