"""The least time that a device needs for some work: the larger of computing it and moving its bytes.

Source: Williams, Waterman, Patterson, "Roofline: an insightful visual performance model", CACM 52(4), 2009. Bytes are moved at
the speed that a copy of as many bytes has, so that what fits into a cache is held against the cache.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from br2net.benchmarks.latency.work import Work


@dataclass(frozen=True)
class Copy:
    """Speed of a copy. bytes_moved: read and written together; bytes_per_second: the same way."""

    bytes_moved: int
    bytes_per_second: float


@dataclass(frozen=True)
class Peaks:
    """What a device can do.

    Attributes:
        macs_per_second: by precision.
        copies: by size, smallest first; one is enough.
        source: `measured`, or who published it.
    """

    macs_per_second: Mapping[str, float]
    copies: tuple[Copy, ...]
    source: str

    def bandwidth(self, bytes_moved: float) -> float:
        """Bytes per second of a copy of this size, between those that are known."""
        sizes = np.log([item.bytes_moved for item in self.copies])
        return float(np.interp(np.log(max(bytes_moved, 1.0)), sizes, [item.bytes_per_second for item in self.copies]))

    @property
    def memory_bandwidth(self) -> float:
        """Bytes per second of the largest copy, which no cache holds."""
        return self.copies[-1].bytes_per_second

    def bound_ms(self, macs: float, bytes_moved: float, precision: str) -> float:
        """The least milliseconds for this work; a precision that is not known counts as fp32."""
        rate = self.macs_per_second.get(precision) or self.macs_per_second["fp32"]
        return max(macs / rate, bytes_moved / self.bandwidth(bytes_moved)) * 1000.0

    @property
    def rest(self) -> str:
        """What layers of an INT8 file that are not INT8 are computed in at best."""
        return next((name for name in ("bf16", "fp16") if name in self.macs_per_second), "fp32")

    def merged(self, other: "Peaks") -> "Peaks":
        """The better of two measurements of one device: what disturbs can only make it slower."""
        macs = {name: max(value, other.macs_per_second.get(name, 0.0)) for name, value in self.macs_per_second.items()}
        copies = tuple(
            max(pair, key=lambda copy: copy.bytes_per_second) for pair in zip(self.copies, other.copies, strict=True)
        )
        return Peaks(macs, copies, self.source)


def network_bound_ms(work: Work, peaks: Peaks, precision: str, batch: int = 1) -> float:
    """The least milliseconds for one image, one layer after the other."""
    return sum(
        peaks.bound_ms(layer.macs, layer.bytes_moved(own, batch), own)
        for layer, own in zip(work.layers, work.precisions(precision, peaks.rest), strict=True)
    )


def stage_bounds(
    size: tuple[int, int], frame: tuple[int, int], batch: int, precision: str, work: Work | None, peaks: Peaks
) -> dict[str, float]:
    """Return the least milliseconds of each stage of one batch; of inference only where its work is known.

    Before and after the network a stage has at least to read its input and to write its output: a frame of 8-bit BGR and a
    batch of float32, a map and a map of the frame's size. What the network reads and writes is in its layers.

    Args:
        size: `(width, height)` of the network input.
        frame: `(width, height)` of the frames.
        batch: number of frames.
        precision: precision in force.
        work: work of the network for one image.
        peaks: peaks of the device.
    """
    pixels, frame_pixels = math.prod(size) * batch, math.prod(frame) * batch
    moved = {"preprocess": 3 * frame_pixels + 12 * pixels, "postprocess": 4 * pixels + 4 * frame_pixels}
    bounds = {name: count / peaks.bandwidth(count) * 1000.0 for name, count in moved.items()}
    if work is not None:
        bounds["inference"] = network_bound_ms(work, peaks, precision, batch) * batch
    return bounds
