"""Frame reader interface, and the reader of image folders."""

from abc import ABC, abstractmethod

from br2net.errors import CameraError, ImageError, InputError
from br2net.live.camera.options import CameraOptions
from br2net.live.camera.source import Source
from br2net.runtime.images import list_images, read_image
from br2net.types import Frame, PixelFormat

IMAGES_RATE = 10.0  # frames a second at which images of a folder follow each other by default


class FrameReader(ABC):
    """Reads one opened source. One thread uses it; `interrupt` alone may be called from another.

    Attributes:
        live: True if the source continues without being read; when such a source ends, it was lost and is opened again.
        rate: frames a second that the source says it has; 0 where it does not say.
        turned: True if the source sizes and turns its frames itself, such as a CSI camera's pipeline.
        damaged: frames so far that could not be decoded.
        pixels: pixel format of the frame retrieved last.
    """

    live: bool
    rate: float = 0.0
    turned: bool = False
    damaged: int = 0
    pixels: PixelFormat = PixelFormat.BGR

    @abstractmethod
    def grab(self) -> bool:
        """Wait for the next frame; False at the end, or when the source is lost."""

    @abstractmethod
    def retrieve(self) -> Frame | None:
        """Decode the frame grabbed last: uint8 in the layout `pixels`, the caller's own; None if it is damaged."""

    @abstractmethod
    def close(self) -> None:
        """Free the source. Closing twice does no harm."""

    def interrupt(self) -> None:  # noqa: B027  # most sources cannot be interrupted, and end by their timeout
        """Make a `grab` that waits in another thread return soon."""


class ImagesReader(FrameReader):
    """The images of a folder or a pattern, by name; a damaged one is counted and left out."""

    live = False

    def __init__(self, source: Source, options: CameraOptions) -> None:
        try:
            self._paths = list_images([source.address])
        except InputError as error:
            raise CameraError(str(error)) from error
        self._next = 0
        self.rate = options.fps or IMAGES_RATE

    def grab(self) -> bool:
        """Move to the next image."""
        self._next += 1
        return self._next <= len(self._paths)

    def retrieve(self) -> Frame | None:
        """Read the image."""
        try:
            return read_image(self._paths[self._next - 1])
        except ImageError:
            self.damaged += 1
            return None

    def close(self) -> None:
        """Nothing is held open."""
        self._next = len(self._paths)
