"""A folder of images as a source."""

from br2net.errors import CameraError, ImageError, InputError
from br2net.live.camera.options import CameraOptions
from br2net.live.camera.reader import FrameReader
from br2net.live.camera.source import Source
from br2net.runtime.images import list_images, read_image
from br2net.types import Frame

RATE = 10.0  # frames a second at which images are taken to follow each other, unless told


class ImagesReader(FrameReader):
    """The images of a folder or a pattern, by name."""

    live = False

    def __init__(self, source: Source, options: CameraOptions) -> None:
        try:
            self._paths = list_images([source.address])
        except InputError as error:
            raise CameraError(str(error)) from error
        self._next = 0
        self.rate = options.fps or RATE

    def grab(self) -> bool:
        """Move on to the next image."""
        self._next += 1
        return self._next <= len(self._paths)

    def retrieve(self) -> Frame | None:
        """Read the image; one that is damaged is counted, and left out."""
        try:
            return read_image(self._paths[self._next - 1])
        except ImageError:
            self.damaged += 1
            return None

    def close(self) -> None:
        """Nothing is held open."""
        self._next = len(self._paths)
