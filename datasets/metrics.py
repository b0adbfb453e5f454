"""Figures of blur maps against masks, added up image by image, so that memory stays flat.

A map is compared with its mask at the mask's own size. Curves have 256 thresholds: a pixel counts as blurred at
threshold t where the map, rounded to 8 bits, is at least t. A mask pixel is blurred where the mask is at least 0.5.
Pixels whose mask is NaN (unknown) are excluded from every figure.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from br2net.errors import InputError
from br2net.types import THRESHOLD, Map

Curve = NDArray[np.float64]
Positive = Literal["blurred", "sharp"]

BETA_SQUARED = 0.3  # weight of recall in the F-measure (Achanta et al., CVPR 2009), as all works on this task take it
LEVELS = 256


@dataclass(frozen=True)
class ImageFigures:
    """Figures of one image.

    Attributes:
        name: of the image in its data set.
        width, height: of the mask, pixels.
        mae: mean of |map - mask|, not binarised.
        iou: intersection over union of the blurred class, map and mask cut at 0.5; 1 where neither has any.
        f_blurred, f_sharp: largest F-measure over the thresholds; NaN where the mask has no such pixel.
        auc: area under the ROC curve; NaN where the mask has one class only.
        blurred_fraction, mask_fraction: share of blurred pixels in the map and in the mask, of the known pixels.
    """

    name: str
    width: int
    height: int
    mae: float
    iou: float
    f_blurred: float
    f_sharp: float
    auc: float
    blurred_fraction: float
    mask_fraction: float


@dataclass(frozen=True)
class Curves:
    """Averages over the images at each of the 256 thresholds, from 0 to 255; `(256,)` float64 each.

    Images whose mask has no positive pixel are left out of precision and recall, since recall is not defined there;
    those with one class only are left out of the ROC curve. Where no pixel passes a threshold, precision is 1: there is
    no false alarm. All are NaN where no image is left.

    Attributes:
        precision, recall: of the positive class.
        f: F-measure of the averaged precision and recall.
        true_positive_rate, false_positive_rate: the ROC curve.
    """

    precision: Curve
    recall: Curve
    f: Curve
    true_positive_rate: Curve
    false_positive_rate: Curve

    @property
    def max_f(self) -> float:
        """The largest F-measure over the thresholds."""
        return float(self.f.max())

    @property
    def best_threshold(self) -> int:
        """The threshold, 0..255, of the largest F-measure."""
        return int(self.f.argmax())

    @property
    def auc(self) -> float:
        """Area under the ROC curve, by trapezoids; the curve starts at (0, 0)."""
        return area(self.true_positive_rate, self.false_positive_rate)


@dataclass(frozen=True)
class Summary:
    """Figures of a data set: means over the images, and curves with each class as positive."""

    images: int
    mae: float
    iou: float
    blurred: Curves
    sharp: Curves

    @property
    def auc(self) -> float:
        """Area under the ROC curve; the same for both classes up to the rounding of the map to 8 bits."""
        return self.blurred.auc


class AccuracyMeter:
    """Adds up figures image by image; keeps sums over thresholds and nothing of the images themselves."""

    def __init__(self) -> None:
        self._count = 0
        self._mae = 0.0
        self._iou = 0.0
        self._sums = {"blurred": _CurveSums(), "sharp": _CurveSums()}

    def add(self, name: str, blur: Map, mask: Map) -> ImageFigures:
        """Count one image in.

        Args:
            name: of the image.
            blur: the map, float32 `(H, W)`, 0..1, 1 = blurred, at the mask's size.
            mask: float32 `(H, W)`, 0..1, 1 = blurred, NaN = unknown.

        Raises:
            InputError: if the two differ in shape, the map holds NaN or values outside 0..1, or no pixel is known.
        """
        if blur.shape != mask.shape:
            raise InputError(f"The map of {name} is of shape {blur.shape}, its mask of {mask.shape}.")
        if not (blur.min() >= 0.0 and blur.max() <= 1.0):  # also refuses NaN
            raise InputError(f"The map of {name} has values outside 0..1.")
        height, width = mask.shape
        known = ~np.isnan(mask)
        if not known.any():
            raise InputError(f"The mask of {name} must have at least one known pixel.")
        blur, mask = blur[known], mask[known]
        wanted = mask >= THRESHOLD
        found = blur >= THRESHOLD
        level = np.rint(blur * (LEVELS - 1)).astype(np.uint8)
        counts = _count(level, wanted)
        counts_sharp = _count((LEVELS - 1) - level, ~wanted)
        self._sums["blurred"].add(counts)
        self._sums["sharp"].add(counts_sharp)
        figures = ImageFigures(
            name=name,
            width=width,
            height=height,
            mae=float(np.abs(blur - mask).mean(dtype=np.float64)),
            iou=_iou(found, wanted),
            f_blurred=float(f_measure(*counts.precision_recall()).max()) if counts.positives else math.nan,
            f_sharp=float(f_measure(*counts_sharp.precision_recall()).max()) if counts_sharp.positives else math.nan,
            auc=area(*counts.rates()) if counts.positives and counts.negatives else math.nan,
            blurred_fraction=float(found.mean()),
            mask_fraction=float(wanted.mean()),
        )
        self._count += 1
        self._mae += figures.mae
        self._iou += figures.iou
        return figures

    def summary(self) -> Summary:
        """Figures of all images so far.

        Raises:
            InputError: if there are none.
        """
        if not self._count:
            raise InputError("No image has been counted.")
        return Summary(
            images=self._count,
            mae=self._mae / self._count,
            iou=self._iou / self._count,
            blurred=self._sums["blurred"].curves(),
            sharp=self._sums["sharp"].curves(),
        )


def f_measure(precision: Curve, recall: Curve) -> Curve:
    """`(1 + beta²) P R / (beta² P + R)` with beta² = 0.3, elementwise; 0 where both are 0."""
    above = (1.0 + BETA_SQUARED) * precision * recall
    below = BETA_SQUARED * precision + recall
    return np.asarray(np.divide(above, below, out=np.zeros_like(above), where=below != 0.0))


def area(true_positive_rate: Curve, false_positive_rate: Curve) -> float:
    """Area under a ROC curve given at rising thresholds, by trapezoids, from (0, 0) on."""
    y = np.append(true_positive_rate, 0.0)[::-1]
    x = np.append(false_positive_rate, 0.0)[::-1]
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2.0))


@dataclass(frozen=True)
class _Counts:
    """Pixels of one image that pass each threshold: rightly and wrongly, `(256,)` each; and the totals of the mask."""

    true: Curve
    false: Curve
    positives: int
    negatives: int

    def precision_recall(self) -> tuple[Curve, Curve]:
        passed = self.true + self.false
        precision = np.divide(self.true, passed, out=np.ones(LEVELS), where=passed != 0)
        return precision, self.true / self.positives

    def rates(self) -> tuple[Curve, Curve]:
        return self.true / self.positives, self.false / self.negatives


class _CurveSums:
    """Sums over images of the curves of one positive class."""

    def __init__(self) -> None:
        self._images = self._images_both = 0
        self._precision, self._recall, self._true_rate, self._false_rate = (np.zeros(LEVELS) for _ in range(4))

    def add(self, counts: _Counts) -> None:
        if not counts.positives:
            return
        precision, recall = counts.precision_recall()
        self._images += 1
        self._precision += precision
        self._recall += recall
        if counts.negatives:
            true_rate, false_rate = counts.rates()
            self._images_both += 1
            self._true_rate += true_rate
            self._false_rate += false_rate

    def curves(self) -> Curves:
        count = self._images or math.nan
        both = self._images_both or math.nan
        precision, recall = self._precision / count, self._recall / count
        rates = self._true_rate / both, self._false_rate / both
        return Curves(precision, recall, f_measure(precision, recall), *rates)


def _count(level: NDArray[np.uint8], positive: NDArray[np.bool_]) -> _Counts:
    of_positives = np.bincount(level[positive], minlength=LEVELS)
    of_negatives = np.bincount(level[~positive], minlength=LEVELS)
    return _Counts(
        true=np.cumsum(of_positives[::-1])[::-1].astype(np.float64),
        false=np.cumsum(of_negatives[::-1])[::-1].astype(np.float64),
        positives=int(of_positives.sum()),
        negatives=int(of_negatives.sum()),
    )


def _iou(found: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    union = int(np.count_nonzero(found | wanted))
    return int(np.count_nonzero(found & wanted)) / union if union else 1.0
