"""Running a model over photographs that have masks."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from br2net.datasets import AccuracyMeter, ImageFigures, Pair, Summary, read_pair
from br2net.runtime.backend import Backend, detect
from br2net.types import Frame, Map


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model on one data set, and what they were measured with.

    Attributes:
        model: its name.
        backend, device, precision: what computed the maps, as they were in force.
        width, height: of the network's input, pixels.
        summary: figures of the data set.
        images: figures of each image, in the order of the data set.
    """

    model: str
    backend: str
    device: str
    precision: str
    width: int
    height: int
    summary: Summary
    images: list[ImageFigures]

    def to_json(self) -> dict[str, Any]:
        """The figures as `br2net evaluate --json` prints them; what is not defined on this data set is null."""
        return {
            "model": self.model,
            "backend": self.backend,
            "precision": self.precision,
            "images": self.summary.images,
            "mae": _rounded(self.summary.mae),
            "max_f_blurred": _rounded(self.summary.blurred.max_f),
            "max_f_sharp": _rounded(self.summary.sharp.max_f),
            "auc": _rounded(self.summary.auc),
            "iou": _rounded(self.summary.iou),
            "size": f"{self.width}x{self.height}",
        }


def evaluate(
    backend: Backend, pairs: Sequence[Pair], on_image: Callable[[ImageFigures], None] | None = None
) -> Evaluation:
    """Measure a model on a data set, one photograph at a time, as inference treats them.

    Args:
        backend: the loaded model.
        pairs: photographs and masks.
        on_image: called with the figures of each photograph when it is done, to show progress.

    Raises:
        ImageError, DatasetError: if a photograph or a mask cannot be read. None is skipped: figures of part of a data
            set would be compared with figures of all of it.
        BackendError: if the engine fails.
    """
    meter = AccuracyMeter()
    images = []
    for pair in pairs:
        frame, mask = read_pair(pair)
        figures = meter.add(pair.name, blur_map(backend, frame), mask)
        images.append(figures)
        if on_image is not None:
            on_image(figures)
    return Evaluation(
        model=backend.metadata.name,
        backend=backend.name,
        device=backend.device,
        precision=backend.precision,
        width=backend.width,
        height=backend.height,
        summary=meter.summary(),
        images=images,
    )


def blur_map(backend: Backend, frame: Frame) -> Map:
    """Compute the blur map of a frame `(H, W, 3)` uint8 BGR: float32 `(H, W)`, 0..1, 1 = blurred."""
    (outputs,) = detect(backend, [frame])
    assert outputs.map is not None
    return outputs.map


def _rounded(value: float) -> float | None:
    """Four decimals, or None for NaN, which JSON has no word for."""
    return None if math.isnan(value) else round(value, 4)
