"""A check without masks: photographs in focus everywhere, as they are and defocused.

Smooth in-focus areas (sky, walls, skin) are what blur detectors take for blur most often, and test sets of defocused
photographs hold few of them. A good model finds next to no blur in such a photograph, and blur everywhere once a strong
disc blur has been laid over it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from br2net.benchmarks.accuracy.evaluation import blur_map
from br2net.errors import InputError
from br2net.runtime.backend import Backend
from br2net.runtime.images import read_image
from br2net.runtime.postprocessing import blurred_fraction
from br2net.types import Frame, Map

RADIUS_SHARE = 0.02  # disc radius as a share of the longer side: 15 pixels at 768, far past any acceptable sharpness
GAMMA = 2.2  # a lens blurs light, not grey levels


@dataclass(frozen=True)
class BlurAmount:
    """How much blur a map holds: share of the pixels that are at least 0.5, and mean of the map; 0..1 each."""

    fraction: float
    mean: float


@dataclass(frozen=True)
class SharpFigures:
    """Blur found in one photograph: as it is (none is right), and defocused everywhere (all is right)."""

    path: Path
    as_it_is: BlurAmount
    defocused: BlurAmount


@dataclass(frozen=True)
class SharpCheck:
    """Figures of photographs in focus everywhere, in the order they were given; at least one."""

    images: list[SharpFigures]

    @property
    def as_it_is(self) -> BlurAmount:
        """Average over the photographs as they are; small is good."""
        return _average([item.as_it_is for item in self.images])

    @property
    def defocused(self) -> BlurAmount:
        """Average over the defocused photographs; large is good."""
        return _average([item.defocused for item in self.images])


def check_sharp(
    backend: Backend, paths: Sequence[Path], on_image: Callable[[SharpFigures], None] | None = None
) -> SharpCheck:
    """Measure how much blur a model finds in photographs that are in focus everywhere, and in their defocused copies.

    Args:
        backend: the loaded model.
        paths: the photographs, none of which the model should have been trained on.
        on_image: called with the figures of each photograph when it is done.

    Raises:
        ImageError: if a photograph cannot be read.
        InputError: if there is none.
    """
    if not paths:
        raise InputError("The check on sharp photographs needs at least one.")
    images = []
    for path in paths:
        frame = read_image(path)
        figures = SharpFigures(
            path=path,
            as_it_is=_amount(blur_map(backend, frame)),
            defocused=_amount(blur_map(backend, defocus(frame))),
        )
        images.append(figures)
        if on_image is not None:
            on_image(figures)
    return SharpCheck(images)


def defocus(frame: Frame) -> Frame:
    """Lay a strong disc blur over a frame `(H, W, 3)` uint8, in linear light; gives a new frame.

    Not `br2net.training.augment.defocus`: what a model is judged by should not be what made its training material, and
    evaluating needs no PyTorch.
    """
    radius = max(frame.shape[:2]) * RADIUS_SHARE
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (np.hypot(x, y) <= radius).astype(np.float32)
    light = ((np.arange(256, dtype=np.float32) / 255.0) ** GAMMA)[frame]
    blurred = cv2.filter2D(light, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(np.rint(255.0 * np.clip(blurred, 0.0, 1.0) ** (1.0 / GAMMA)), dtype=np.uint8)


def _amount(blur: Map) -> BlurAmount:
    return BlurAmount(blurred_fraction(blur), float(blur.mean(dtype=np.float64)))


def _average(amounts: Sequence[BlurAmount]) -> BlurAmount:
    return BlurAmount(
        float(np.mean([item.fraction for item in amounts])), float(np.mean([item.mean for item in amounts]))
    )
