"""How far the blur maps of a candidate are from those of its baseline, and whether that is accepted."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np

from br2net.errors import GateError
from br2net.runtime.backend import Backend, detect
from br2net.runtime.images import read_image
from br2net.runtime.preprocessing import resize
from br2net.types import Frame, Map


@dataclass(frozen=True)
class Difference:
    """Absolute differences of blur maps, in units of blur (0..1), over all pixels of all images."""

    largest: float
    mean: float

    def figures(self) -> dict[str, float]:
        """Return both numbers under their names in a model's metadata."""
        return {"largest_difference": self.largest, "mean_difference": self.mean}

    def __str__(self) -> str:
        return f"largest {self.largest:.2g}, mean {self.mean:.2g}"


@dataclass(frozen=True)
class Tolerance:
    """Differences that are still accepted. A single pixel may flip at an edge, so `mean` is the stricter one."""

    largest: float
    mean: float

    def check(self, difference: Difference, name: str, baseline: str) -> None:
        """Refuse a difference beyond this tolerance, and maps that are not numbers.

        Raises:
            GateError: if so.
        """
        if not (difference.largest <= self.largest and difference.mean <= self.mean):
            raise GateError(
                f"{name} is refused: its blur maps differ from {baseline} by more than allowed "
                f"({difference}; allowed largest {self.largest:g}, mean {self.mean:g})."
            )


TOLERANCES = {  # an engine against its own ONNX, by the precision of that ONNX
    "fp32": Tolerance(largest=0.05, mean=0.002),  # TF32 has fp16's mantissa, so more than rounding of fp32
    "fp16": Tolerance(largest=0.15, mean=0.005),
    "int8": Tolerance(largest=0.5, mean=0.02),
}


def packaged_photograph() -> Frame:
    """Return the real photograph that comes with this package: uint8 `(427, 640, 3)` BGR."""
    with resources.as_file(resources.files("br2net.builder").joinpath("reference/flower.jpg")) as path:
        return read_image(path)


def difference(maps: Sequence[Map], baseline: Sequence[Map]) -> Difference:
    """Compare maps of the same shapes pair by pair; not-a-number anywhere makes both figures so.

    Raises:
        GateError: if shapes differ, as they do when an engine is not of its ONNX.
    """
    shapes = [[item.shape for item in items] for items in (maps, baseline)]
    if shapes[0] != shapes[1]:
        raise GateError(f"The blur maps have shapes {shapes[0]} and those of the baseline {shapes[1]}.")
    gaps = np.concatenate([np.abs(a.astype(np.float64) - b).ravel() for a, b in zip(maps, baseline, strict=True)])
    return Difference(float(gaps.max()), float(gaps.mean()))


def compare(candidate: Backend, baseline: Backend, frames: Sequence[Frame] = (), batch: int = 1) -> Difference:
    """Compare the maps that two models of one input size compute at that size.

    Args:
        candidate: loaded model to judge.
        baseline: loaded model to judge it by.
        frames: photographs, uint8 `(H, W, 3)` BGR, of any sizes; the photograph in this package where there are none.
        batch: number of frames that are computed together at least; the frames are repeated to fill it.

    Raises:
        GateError: if the input sizes differ.
        BackendError: if a model fails.
    """
    frames = frames or [packaged_photograph()]
    frames = [frames[index % len(frames)] for index in range(max(batch, len(frames)))]
    maps = []
    for backend in (candidate, baseline):
        photographs = [resize(frame, backend.width, backend.height) for frame in frames]
        maps.append([output.map for output in detect(backend, photographs) if output.map is not None])
    return difference(*maps)
