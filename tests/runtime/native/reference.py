"""What the native part should compute, said again in NumPy with 64-bit floats and no thought of speed."""

import numpy as np
from numpy.typing import NDArray

from br2net.runtime.metadata import Normalisation

Real = NDArray[np.float64]
LEVELS = Normalisation((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))  # leaves grey levels as they are


def cover(length: int, wanted: int) -> Real:
    """`(wanted, length)`: share of each pixel in each wider one, by the overlap of intervals."""
    edges = np.arange(wanted + 1) * length / wanted
    pixel = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.clip(overlap, 0.0, None) * wanted / length


def interpolation(length: int, wanted: int) -> Real:
    """`(wanted, length)`: weights of bilinear interpolation, pixels at the middle of their squares, the border repeated."""
    place = np.clip((np.arange(wanted) + 0.5) * length / wanted - 0.5, 0.0, length - 1.0)
    return np.clip(1.0 - np.abs(place[:, None] - np.arange(length)), 0.0, None)


def resized(frame: NDArray[np.uint8], width: int, height: int) -> Real:
    """Area along a side that shrinks, to whole grey levels; bilinear along one that grows."""
    down = cover(len(frame), min(height, len(frame)))
    across = cover(frame.shape[1], min(width, frame.shape[1]))
    shrunk = np.einsum("yi,xj,ijc->yxc", down, across, frame.astype(np.float64), optimize=True)
    if shrunk.shape[:2] == (height, width):
        return np.asarray(shrunk)
    down, across = interpolation(len(shrunk), height), interpolation(shrunk.shape[1], width)
    return np.asarray(np.einsum("yi,xj,ijc->yxc", down, across, np.rint(shrunk), optimize=True))
