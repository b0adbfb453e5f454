"""The held-out check that checkpoints are chosen by: figures per set, and one score."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from br2net.network import BR2Net
from br2net.runtime.metadata import Normalisation
from br2net.runtime.postprocessing import resize_map
from br2net.runtime.preprocessing import preprocess
from br2net.training.data import HeldOutSet, Sample
from br2net.types import THRESHOLD, Map


@dataclass(frozen=True)
class SetFigures:
    """Figures of one set at the masks' own size: means over its photographs, unknown pixels excluded.

    Attributes:
        mae: mean of |map - mask|.
        iou: IoU of the blurred class at 0.5; photographs without blurred pixels are left out, NaN if none is left.
        false_blur: share of the in-focus pixels that are called blurred; NaN if no photograph has any.
        ground_mae: the MAE on ground pixels; NaN if no photograph has any.
        ground_false_blur: share of the ground pixels that are called blurred; NaN if no photograph has any.
    """

    mae: float
    iou: float
    false_blur: float
    ground_mae: float
    ground_false_blur: float


@dataclass(frozen=True)
class HeldOutFigures:
    """Figures of a checkpoint on the held-out photographs.

    Attributes:
        score: figure that checkpoints are chosen by, smaller is better: the mean of all sets' MAE and ground MAE by their score
            weights. With one set and no ground it is the MAE.
        mae, iou: means over the sets by `score_weight`; sets without blurred pixels have no IoU.
        sets: figures of each set by name.
    """

    score: float
    mae: float
    iou: float
    sets: dict[str, SetFigures]


def check_held_out(model: BR2Net, sets: list[HeldOutSet], size: int, normalisation: Normalisation) -> HeldOutFigures:
    """Run `model` on whole photographs resized to `size` by `size`, as inference does."""
    figures = {item.name: _check_set(model, item.samples, size, normalisation) for item in sets}
    weights = [item.score_weight for item in sets]
    ground_weights = [item.ground_score_weight for item in sets]
    errors = [item.mae for item in figures.values()]
    ground_errors = [item.ground_mae for item in figures.values()]
    return HeldOutFigures(
        score=_weighted_mean(errors + ground_errors, weights + ground_weights),
        mae=_weighted_mean(errors, weights),
        iou=_weighted_mean([item.iou for item in figures.values()], weights),
        sets=figures,
    )


def score_weights(sets: list[HeldOutSet]) -> list[NDArray[np.float32]]:
    """Weight of each pixel's absolute error in the score, `(H, W)` for each photograph of each set, in their order.

    The weights of all photographs sum to 1, and unknown pixels weigh 0.
    """
    total = sum(item.score_weight + (item.ground_score_weight if _has_ground(item) else 0.0) for item in sets)
    weights = []
    for item in sets:
        grounds = sum(sample.ground is not None and bool(sample.ground.any()) for sample in item.samples)
        for sample in item.samples:
            known = ~np.isnan(sample.mask)
            share = item.score_weight / len(item.samples) / total
            pixels = np.asarray(known * (share / max(int(known.sum()), 1)), dtype=np.float32)
            if sample.ground is not None and sample.ground.any():
                share = item.ground_score_weight / grounds / total
                pixels += np.asarray(sample.ground * (share / int(sample.ground.sum())), dtype=np.float32)
            weights.append(pixels)
    return weights


def _has_ground(item: HeldOutSet) -> bool:
    return any(sample.ground is not None and sample.ground.any() for sample in item.samples)


def _check_set(model: BR2Net, samples: list[Sample], size: int, normalisation: Normalisation) -> SetFigures:
    rows = [_check_sample(_predict(model, sample, size, normalisation), sample) for sample in samples]
    return SetFigures(*(_mean(column) for column in np.array(rows, np.float64).T))


def _predict(model: BR2Net, sample: Sample, size: int, normalisation: Normalisation) -> Map:
    device = next(model.parameters()).device
    batch = torch.from_numpy(preprocess([sample.image], size, size, normalisation)).to(device)
    with torch.inference_mode():
        blur = model(batch)[0, 0].float().cpu().numpy()
    height, width = sample.mask.shape
    return resize_map(blur, width, height)


def _check_sample(predicted: NDArray[np.float32], sample: Sample) -> tuple[float, ...]:
    """The fields of `SetFigures`, in their order, for one photograph; NaN where one is not defined."""
    known = ~np.isnan(sample.mask)
    blur, mask = predicted[known], sample.mask[known]
    found, wanted = blur >= THRESHOLD, mask >= THRESHOLD
    ground = predicted[sample.ground] if sample.ground is not None else np.empty(0, np.float32)
    iou = np.count_nonzero(found & wanted) / np.count_nonzero(found | wanted) if wanted.any() else np.nan
    return (
        _mean(np.abs(blur - mask)),
        iou,
        _mean(found[~wanted]),
        _mean(ground),
        _mean(ground >= THRESHOLD),
    )


def _mean(values: NDArray[np.float64] | NDArray[np.float32] | NDArray[np.bool_]) -> float:
    """Mean of the values that are not NaN; NaN if there are none."""
    present = values[~np.isnan(values)]
    return float(present.mean(dtype=np.float64)) if present.size else float("nan")


def _weighted_mean(values: list[float], weights: list[float]) -> float:
    """Weighted mean of the values that are not NaN; NaN if their weights are all 0."""
    pairs = [(value, weight) for value, weight in zip(values, weights, strict=True) if not np.isnan(value)]
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else float("nan")
