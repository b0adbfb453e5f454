"""What a detector gives for one frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from br2net.errors import InputError
from br2net.files import AnyPath
from br2net.runtime import postprocessing
from br2net.runtime.images import write_png
from br2net.types import THRESHOLD


@dataclass(frozen=True, eq=False)
class BlurMap:
    """Where a frame is out of focus.

    Attributes:
        map: float32 `(H, W)`, 0 = in focus, 1 = blurred, at the size of the frame.
        latency_ms: time from frame to map, milliseconds; in a batch, its share.
    """

    map: NDArray[np.float32]
    latency_ms: float

    @property
    def blurred_fraction(self) -> float:
        """Share of the pixels that are blurred (map at least 0.5), 0..1."""
        return postprocessing.blurred_fraction(self.map)

    def mask(self, threshold: float = THRESHOLD) -> NDArray[np.bool_]:
        """Where the map is at least `threshold` (0..1): bool `(H, W)`, True = blurred."""
        if not 0.0 <= threshold <= 1.0:
            raise InputError(f"A threshold of {threshold} is not possible; it lies in 0..1.")
        return np.asarray(self.map >= threshold)

    def overlay(self, frame: NDArray[np.uint8], opacity: float = postprocessing.DEFAULT_OPACITY) -> NDArray[np.uint8]:
        """The frame with its blurred parts tinted: uint8 `(H, W, 3)` BGR, a new array. `opacity` is that of a full tint.

        Raises:
            InputError: if the frame is not uint8 of the map's size, or the opacity is outside 0..1.
        """
        if not 0.0 <= opacity <= 1.0:
            raise InputError(f"An opacity of {opacity} is not possible; it lies in 0..1.")
        if frame.dtype != np.uint8:
            raise InputError(f"The frame is of {frame.dtype}; uint8 is wanted.")
        if frame.shape != (*self.map.shape, 3):
            raise InputError(f"The frame is of shape {frame.shape}; the map is of {self.map.shape}.")
        return postprocessing.overlay(frame, self.map, opacity)

    def save(self, path: AnyPath) -> None:
        """Write the map as an 8-bit PNG, white = blurred."""
        write_png(path, postprocessing.to_grey(self.map))
