"""From frames to network input: the one code path of training, calibration and inference.

The compiled library does the work where it is there (`br2net.runtime.native`), else OpenCV: to the same bits on x86-64.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from br2net.errors import InputError
from br2net.runtime.metadata import Normalisation
from br2net.runtime.native import cpu, is_available
from br2net.types import Batch, Frame, PixelFormat

STRIDE = 32  # the smallest feature map has 1/32 of the input's size


def check_size(width: int, height: int) -> None:
    """Refuse an input size that the network cannot take.

    Raises:
        InputError: unless both are positive multiples of 32.
    """
    if width < STRIDE or height < STRIDE or width % STRIDE or height % STRIDE:
        raise InputError(f"An input size of {width}x{height} is not possible; both must be multiples of {STRIDE}.")


def resize(frame: Frame, width: int, height: int) -> Frame:
    """Resize `(H, W, 3)` uint8: by area along a side that shrinks, bilinearly along one that grows."""
    own_height, own_width = frame.shape[:2]
    if (own_width, own_height) == (width, height):
        return frame
    shrinks = (width <= own_width, height <= own_height)
    if all(shrinks):
        resized = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    elif not any(shrinks):
        resized = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
    else:  # the shrinking side first, so that the other has less to do
        between = (min(width, own_width), min(height, own_height))
        resized = cv2.resize(frame, between, interpolation=cv2.INTER_AREA)
        resized = cv2.resize(resized, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)


def to_bgr(frame: Frame, pixels: PixelFormat) -> Frame:
    """A frame as a camera gives it, as BGR `(H, W, 3)`.

    Raises:
        InputError: if the array is not one of that format.
    """
    pixels.size_of(frame)
    if pixels is PixelFormat.BGR:
        return frame
    code = cv2.COLOR_YUV2BGR_NV12 if pixels is PixelFormat.NV12 else cv2.COLOR_YUV2BGR_YUY2
    return np.asarray(cv2.cvtColor(frame, code), dtype=np.uint8)


def preprocess(
    frames: Sequence[Frame],
    width: int,
    height: int,
    normalisation: Normalisation,
    *,
    pixels: PixelFormat = PixelFormat.BGR,
    threads: int = 0,
    out: Batch | None = None,
) -> Batch:
    """Make one batch of network input.

    Args:
        frames: uint8, in the layout of `pixels`, of any sizes.
        width: of the input, a multiple of 32.
        height: of the input, a multiple of 32.
        normalisation: `(pixel / 255 - mean) / std` per RGB channel.
        pixels: of all frames; BGR `(H, W, 3)` where nothing else is said.
        threads: threads of the compiled library; 0 for OMP_NUM_THREADS, else all processors.
        out: array to write into, float32 `(N, 3, height, width)`, contiguous; None for a new one.

    Returns:
        float32 `(N, 3, height, width)`, RGB.

    Raises:
        InputError: if the size is not possible, there is no frame, or a frame is not of that format.
    """
    check_size(width, height)
    if not frames:
        raise InputError("A batch needs at least one frame.")
    batch = np.empty((len(frames), 3, height, width), np.float32) if out is None else out
    scale, shift = normalisation.scale, normalisation.shift
    if is_available():
        for frame, planes in zip(frames, batch, strict=True):
            cpu.preprocess(frame, pixels, planes, scale, shift, threads)
        return batch
    for frame, planes in zip(frames, batch, strict=True):
        blue_green_red = cv2.split(resize(to_bgr(frame, pixels), width, height))
        for channel, plane in enumerate(reversed(blue_green_red)):
            np.multiply(plane, np.float32(scale[channel]), out=planes[channel])
            planes[channel] += np.float32(shift[channel])
    return batch
