"""How far blur maps are from their reference, which is ONNX Runtime on the CPU."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from br2net.errors import GateError, MissingDependencyError, ModelError
from br2net.runtime.images import read_image
from br2net.runtime.onnxruntime.rounding import rounding_source

Maps = NDArray[np.float32]


@dataclass(frozen=True)
class Difference:
    """Absolute differences of blur maps, in units of blur (0..1), over all pixels of all images."""

    largest: float
    mean: float

    def figures(self) -> dict[str, float]:
        """As they travel in a model's metadata."""
        return {"largest_difference": self.largest, "mean_difference": self.mean}

    def __str__(self) -> str:
        return f"largest {self.largest:.2g}, mean {self.mean:.2g}"


@dataclass(frozen=True)
class Tolerance:
    """Differences that are still accepted. A single pixel may flip at an edge, so `mean` is the stricter one."""

    largest: float
    mean: float

    def check(self, difference: Difference, name: str, reference: str) -> None:
        """Refuse a difference beyond this tolerance, and maps that are not numbers.

        Raises:
            GateError: if so.
        """
        if not (difference.largest <= self.largest and difference.mean <= self.mean):
            raise GateError(
                f"{name} is refused: its blur maps differ from {reference} by more than allowed "
                f"({difference}; allowed largest {self.largest:g}, mean {self.mean:g})."
            )


TOLERANCES = {  # an engine against its own ONNX, by the precision of that ONNX
    "fp32": Tolerance(largest=0.05, mean=0.002),  # TF32 has fp16's mantissa, so more than rounding of fp32
    "fp16": Tolerance(largest=0.15, mean=0.005),
    "int8": Tolerance(largest=0.5, mean=0.02),
}


def packaged_photograph() -> NDArray[np.uint8]:
    """The real photograph that comes with this package: uint8 `(427, 640, 3)` BGR."""
    with resources.as_file(resources.files("br2net.builder").joinpath("reference/flower.jpg")) as path:
        return read_image(path)


def difference(maps: Sequence[Maps], references: Sequence[Maps]) -> Difference:
    """Compare maps of the same shapes pair by pair; not-a-number anywhere makes both figures so.

    Raises:
        GateError: if shapes differ, as they do when an engine is not of its ONNX.
    """
    shapes = [[item.shape for item in items] for items in (maps, references)]
    if shapes[0] != shapes[1]:
        raise GateError(f"The blur maps have shapes {shapes[0]} and their references {shapes[1]}.")
    gaps = np.concatenate([np.abs(a.astype(np.float64) - b).ravel() for a, b in zip(maps, references, strict=True)])
    return Difference(float(gaps.max()), float(gaps.mean()))


def reference_maps(onnx: Path, batches: Sequence[Maps]) -> list[Maps]:
    """Blur maps of an ONNX file by ONNX Runtime on the CPU, for network input `(N, 3, h, w)` each.

    Raises:
        MissingDependencyError: if ONNX Runtime is not installed.
        ModelError: if it cannot load the file.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "Comparing blur maps needs ONNX Runtime: `pip install onnxruntime` (or `onnxruntime-gpu`)."
        ) from error
    try:
        session = onnxruntime.InferenceSession(rounding_source(onnx), providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no base class but this
        raise ModelError(f"ONNX Runtime cannot load {onnx} ({' '.join(str(error).split())}).") from error
    name = session.get_inputs()[0].name
    return [np.asarray(session.run(None, {name: batch})[0], dtype=np.float32) for batch in batches]
