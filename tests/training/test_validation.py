"""Held-out figures against NumPy, on maps that are known exactly."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from br2net.runtime.metadata import SYMMETRIC
from br2net.training.data import HeldOutSet, Sample
from br2net.training.validation import HeldOutFigures, check_held_out, score_weights

SIZE = 64


class RedChannel(nn.Module):
    """A network whose blur map is the red channel of the photograph."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, image: Tensor) -> Tensor:
        return (image[:, :1] + 1.0) / 2.0


def sample(seed: int, unknown: bool = False, ground: bool = False, sharp: bool = False) -> Sample:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    mask = np.zeros((SIZE, SIZE), np.float32) if sharp else (rng.random((SIZE, SIZE)) > 0.5).astype(np.float32)
    if unknown:
        mask[:, :20] = np.nan
    where = (rng.random((SIZE, SIZE)) > 0.8) & (mask == 0.0)
    return Sample(image, mask, str(seed), where if ground else None)


def red(item: Sample) -> NDArray[np.float64]:
    return item.image[..., 2] / 255.0


def check(sets: list[HeldOutSet]) -> HeldOutFigures:
    return check_held_out(RedChannel(), sets, SIZE, SYMMETRIC)  # type: ignore[arg-type]


def test_figures_of_a_set_count_known_pixels_only() -> None:
    items = [sample(seed, unknown=True, ground=True) for seed in range(3)]
    figures = check([HeldOutSet("set", items)]).sets["set"]
    known = [(item, ~np.isnan(item.mask)) for item in items]
    maps = [(red(item)[use], item.mask[use]) for item, use in known]
    assert figures.mae == pytest.approx(np.mean([np.abs(b - m).mean() for b, m in maps]), abs=1e-5)
    overlaps = [((b >= 0.5) & (m == 1)).sum() / ((b >= 0.5) | (m == 1)).sum() for b, m in maps]
    assert figures.iou == pytest.approx(np.mean(overlaps), abs=1e-5)
    assert figures.false_blur == pytest.approx(np.mean([(b[m == 0] >= 0.5).mean() for b, m in maps]), abs=1e-5)
    grounds = [red(item)[item.ground] for item in items]
    assert figures.ground_mae == pytest.approx(np.mean([ground.mean() for ground in grounds]), abs=1e-5)
    assert figures.ground_false_blur == pytest.approx(np.mean([(ground >= 0.5).mean() for ground in grounds]), abs=1e-5)


def test_a_set_in_focus_everywhere_has_no_iou_and_takes_no_part_in_the_mean_iou() -> None:
    mixed, sharp = HeldOutSet("mixed", [sample(0)]), HeldOutSet("sharp", [sample(1, sharp=True)], score_weight=3.0)
    figures = check([mixed, sharp])
    assert np.isnan(figures.sets["sharp"].iou) and figures.iou == figures.sets["mixed"].iou
    assert figures.mae == pytest.approx((figures.sets["mixed"].mae + 3.0 * figures.sets["sharp"].mae) / 4.0)


def test_with_one_set_and_no_ground_the_score_is_the_mae() -> None:
    figures = check([HeldOutSet("set", [sample(0), sample(1)])])
    assert figures.score == figures.mae == figures.sets["set"].mae
    assert np.isnan(figures.sets["set"].ground_mae)


def test_the_score_is_the_weighted_mean_of_errors_and_ground_errors() -> None:
    sets = [
        HeldOutSet("first", [sample(0), sample(1)], score_weight=0.5),
        HeldOutSet("second", [sample(2, ground=True), sample(3)], score_weight=0.3, ground_score_weight=0.2),
    ]
    figures = check(sets)
    first, second = figures.sets["first"], figures.sets["second"]
    assert figures.score == pytest.approx(0.5 * first.mae + 0.3 * second.mae + 0.2 * second.ground_mae)


def test_pixel_weights_add_up_the_errors_to_the_score() -> None:
    sets = [
        HeldOutSet("first", [sample(0, unknown=True), sample(1)], score_weight=2.0, ground_score_weight=7.0),
        HeldOutSet("second", [sample(2, unknown=True, ground=True), sample(3, ground=True), sample(4)], 0.3, 0.2),
    ]
    weights = score_weights(sets)
    items = [item for part in sets for item in part.samples]
    pairs = list(zip(weights, items, strict=True))
    total = sum(float(np.nansum(pixels * np.abs(red(item) - item.mask))) for pixels, item in pairs)
    assert sum(float(pixels.sum()) for pixels in weights) == pytest.approx(1.0, abs=1e-5)
    assert all(not pixels[np.isnan(item.mask)].any() for pixels, item in pairs)
    assert total == pytest.approx(check(sets).score, abs=1e-5)
