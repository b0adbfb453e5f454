"""The accuracy gate: an INT8 model beside its float32 one, on images that it was not calibrated on."""

import math
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from br2net.datasets import AccuracyMeter
from br2net.errors import InputError
from br2net.runtime.backend import detect
from br2net.runtime.backends import open_backend
from br2net.runtime.onnxruntime.rounding import with_float32_quantisers
from br2net.runtime.postprocessing import resize_map
from br2net.types import Frame, Map

MEAN_DIFFERENCE, MAE_CHANGE = 0.01, 0.003


@dataclass(frozen=True, eq=False)
class GateImage:
    """frame: uint8 `(h, w, 3)` BGR at the network's input size; mask: float32 `(H, W)`, 1 = blurred, where there is one."""

    name: str
    frame: Frame
    mask: Map | None = None


@dataclass(frozen=True)
class Accuracy:
    """Figures against masks, by the definitions of `br2net.datasets.metrics`."""

    mae: float
    f_blurred: float
    f_sharp: float


@dataclass(frozen=True)
class GateResult:
    """What the gate measured.

    Attributes:
        images, masks: how many there were.
        difference: mean absolute difference of the maps from float32's, 0..1.
        worst_image, worst_difference: the image whose map differs most, and its mean difference.
        sqnr_db: of the maps.
        float32, int8: accuracy of both; None where no image has a mask.
    """

    images: int
    masks: int
    difference: float
    worst_image: str
    worst_difference: float
    sqnr_db: float
    float32: Accuracy | None
    int8: Accuracy | None

    @property
    def mae_change(self) -> float | None:
        """How much MAE grew; None without masks."""
        return self.int8.mae - self.float32.mae if self.int8 and self.float32 else None

    @property
    def f_change(self) -> float | None:
        """How much F of the blurred class grew; None without masks."""
        return self.int8.f_blurred - self.float32.f_blurred if self.int8 and self.float32 else None

    def to_json(self) -> dict[str, Any]:
        """As the command line and the report give it; what is not defined is null."""
        values = asdict(self) | {"mae_change": self.mae_change, "f_change": self.f_change}
        return {key: _plain(value) for key, value in values.items()}


@dataclass(frozen=True)
class GateLimits:
    """Largest accepted drift: mean difference of the maps, and growth of MAE where there are masks."""

    difference: float = MEAN_DIFFERENCE
    mae: float = MAE_CHANGE

    def __post_init__(self) -> None:
        if not (0.0 <= self.difference <= 1.0 and 0.0 <= self.mae <= 1.0):
            raise InputError("A limit of the gate lies in 0..1.")

    def broken_by(self, result: GateResult) -> list[str]:
        """What a result breaks, one clause each; empty if it holds. A figure that is not a number breaks its limit."""
        broken = []
        if not result.difference <= self.difference:
            broken.append(f"maps differ from float32's by {result.difference:.4f} (mean; {self.difference:g} allowed)")
        if result.mae_change is not None and not result.mae_change <= self.mae:
            broken.append(f"MAE grows by {result.mae_change:.4f} ({self.mae:g} allowed)")
        return broken


def maps_of(model: onnx.ModelProto, frames: Iterable[Frame]) -> list[Map]:
    """Compute the blur maps `(h, w)` of a model in memory by ONNX Runtime; `frames` have the size of its input."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(with_float32_quantisers(model), path)
        return maps_of_file(path, frames, "onnxruntime")


def maps_of_file(path: Path, frames: Iterable[Frame], backend: str) -> list[Map]:
    """Compute the blur maps `(h, w)` of a file by a backend on the CPU; `frames` have the size of its input."""
    with open_backend(path, backend) as opened:
        outputs = [detect(opened, [frame])[0] for frame in frames]
    return [item.map for item in outputs if item.map is not None]


def sqnr_db(maps: Iterable[Map], references: Iterable[Map]) -> float:
    """Return the signal to quantisation noise ratio in decibel: power of the references over that of the differences."""
    signal = noise = 0.0
    for found, reference in zip(maps, references, strict=True):
        signal += float(np.square(reference, dtype=np.float64).sum())
        noise += float(np.square(found.astype(np.float64) - reference).sum())
    if noise == 0.0:
        return float("inf")
    return 10.0 * float(np.log10(signal / noise)) if signal else float("-inf")


def compare(images: Sequence[GateImage], maps: Sequence[Map], references: Sequence[Map]) -> GateResult:
    """Measure INT8 maps against float32 ones, `(h, w)` each, in the order of `images`."""
    gaps = [
        float(np.abs(found.astype(np.float64) - reference).mean())
        for found, reference in zip(maps, references, strict=True)
    ]
    worst = int(np.argmax(gaps))
    return GateResult(
        images=len(images),
        masks=sum(image.mask is not None for image in images),
        difference=float(np.mean(gaps)),
        worst_image=images[worst].name,
        worst_difference=gaps[worst],
        sqnr_db=sqnr_db(maps, references),
        float32=_accuracy(images, references),
        int8=_accuracy(images, maps),
    )


def _accuracy(images: Sequence[GateImage], maps: Sequence[Map]) -> Accuracy | None:
    meter = AccuracyMeter()
    with_mask = [(image, item) for image, item in zip(images, maps, strict=True) if image.mask is not None]
    if not with_mask or not all(np.isfinite(item).all() for _, item in with_mask):
        return None
    for image, item in with_mask:
        assert image.mask is not None
        height, width = image.mask.shape
        meter.add(image.name, resize_map(item, width, height), image.mask)
    summary = meter.summary()
    return Accuracy(summary.mae, summary.blurred.max_f, summary.sharp.max_f)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value
