"""Losses and schedules against their definitions."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from br2net.network import BR2Net, BR2NetConfig, Predictions
from br2net.training.losses import soft_iou_loss, total_loss
from br2net.training.recipe import MOBILE, PAPER, Recipe
from br2net.training.schedule import build_optimizer, rate_factor, update_average

TINY = BR2NetConfig(backbone="mobilenet_v2", backbone_norm="folded", width=4)


def bce(logits: np.ndarray, mask: np.ndarray) -> float:
    probability = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    return float(-(mask * np.log(probability) + (1 - mask) * np.log(1 - probability)).mean())


def test_the_papers_loss_is_the_sum_of_eleven_cross_entropies_at_the_input_size() -> None:
    generator = torch.Generator().manual_seed(0)
    steps = [torch.randn(2, 1, 16, 16, generator=generator) for _ in range(10)]
    fused = torch.randn(2, 1, 16, 16, generator=generator)
    mask = (torch.rand(2, 1, 16, 16, generator=generator) > 0.5).float()
    expected = sum(bce(item.numpy(), mask.numpy()) for item in [*steps, fused])
    assert float(total_loss(Predictions(steps, fused), mask, PAPER)) == pytest.approx(expected, rel=1e-5)


def test_soft_iou_is_zero_for_a_perfect_map_and_near_one_for_the_opposite() -> None:
    mask = torch.zeros(2, 1, 40, 40)
    mask[:, :, :20] = 1.0
    known = torch.ones_like(mask)
    assert float(soft_iou_loss(mask, mask, known)) == pytest.approx(0.0, abs=1e-6)
    assert float(soft_iou_loss(1.0 - mask, mask, known)) > 0.98


def half_unknown(seed: int) -> tuple[Predictions, torch.Tensor]:
    """Random predictions, steps at 16 and fused at 32 pixels, and a mask whose left half is unknown."""
    generator = torch.Generator().manual_seed(seed)
    steps = [torch.randn(2, 1, 16, 16, generator=generator) for _ in range(10)]
    fused = torch.randn(2, 1, 32, 32, generator=generator).requires_grad_()
    mask = (torch.rand(2, 1, 32, 32, generator=generator) > 0.5).float()
    mask[..., :16] = float("nan")
    return Predictions(steps, fused), mask


@pytest.mark.parametrize("recipe", [MOBILE, PAPER])
def test_a_half_unknown_mask_gives_the_cross_entropy_of_its_known_half(recipe: Recipe) -> None:
    predictions, mask = half_unknown(0)
    cross_entropy_alone = replace(recipe, iou_weight=0.0, l1_weight=0.0, supervision="native")
    known = mask[..., 16:].numpy()
    pooled = known.reshape(2, 1, 16, 2, 8, 2).mean(axis=(3, 5))
    expected = bce(predictions.fused.detach()[..., 16:].numpy(), known)
    expected += sum(bce(step[..., 8:].numpy(), pooled) for step in predictions.steps)
    assert float(total_loss(predictions, mask, cross_entropy_alone)) == pytest.approx(expected, rel=1e-5)


def test_all_terms_on_a_half_unknown_mask_equal_numpy_on_the_known_half() -> None:
    predictions, mask = half_unknown(1)
    fused_alone = replace(MOBILE, step_weight=0.0)
    logits, known = predictions.fused.detach()[..., 16:].numpy().astype(np.float64), mask[..., 16:].numpy()
    probability = 1.0 / (1.0 + np.exp(-logits))
    overlaps = []
    for found, wanted in ((probability, known), (1.0 - probability, 1.0 - known)):
        both = (found * wanted).sum(axis=(1, 2, 3))
        smooth = 0.01 * 32 * 32  # of the whole map
        overlaps.append(1.0 - (both + smooth) / ((found + wanted).sum(axis=(1, 2, 3)) - both + smooth))
    expected = bce(logits, known) + np.mean(overlaps) + 0.5 * np.abs(probability - known).mean()
    assert float(total_loss(predictions, mask, fused_alone)) == pytest.approx(expected, rel=1e-5)


def test_unknown_pixels_give_no_gradient() -> None:
    predictions, mask = half_unknown(2)
    total_loss(predictions, mask, MOBILE).backward()  # type: ignore[no-untyped-call]
    gradient = predictions.fused.grad
    assert gradient is not None and bool((gradient[..., :16] == 0.0).all())
    assert bool(torch.isfinite(gradient).all()) and bool((gradient[..., 16:] != 0.0).any())


def test_a_mask_without_known_pixels_gives_a_finite_loss() -> None:
    predictions, mask = half_unknown(3)
    assert bool(torch.isfinite(total_loss(predictions, torch.full_like(mask, float("nan")), MOBILE)))


def test_the_papers_rate_falls_as_poly_and_biases_get_twice_of_it() -> None:
    assert rate_factor(PAPER, 0.25) == pytest.approx(0.75**0.9)
    groups = build_optimizer(BR2Net(TINY), PAPER).param_groups
    assert {(group["peak_lr"], group["weight_decay"]) for group in groups} == {(1e-3, 5e-4), (2e-3, 0.0)}


def test_the_one_cycle_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    factors = [rate_factor(MOBILE, share) for share in np.linspace(0, 1, 101)]
    assert max(factors) == pytest.approx(1.0) and factors.index(max(factors)) == 10
    assert factors[0] < 0.05 and factors[-1] < 1e-3


def test_the_average_is_an_exponential_one_whose_first_updates_weigh_more() -> None:
    model = BR2Net(replace(TINY, backbone_norm="batch"))
    average = copy.deepcopy(model)
    expected = {name: value.numpy().astype(np.float64) for name, value in average.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    for updates in range(1, 200, 20):
        with torch.no_grad():
            for value in model.state_dict().values():
                value.add_(torch.randn(value.shape, generator=generator) if value.is_floating_point() else 1)
        update_average(average, model, 0.9, updates)
        decay = min(0.9, updates / (updates + 10))
        for name, value in model.state_dict().items():
            kept = decay if value.is_floating_point() else 0.0  # the count of batches is that of the model
            expected[name] = kept * expected[name] + (1.0 - kept) * value.numpy()
    averaged = average.state_dict()
    assert any(name.endswith("running_mean") for name in averaged) and averaged.keys() == expected.keys()
    assert all(np.allclose(averaged[name].numpy(), expected[name], rtol=1e-4, atol=1e-5) for name in expected)


def test_without_a_decay_the_average_is_the_latest_weights() -> None:
    average, model = BR2Net(TINY), BR2Net(TINY)
    update_average(average, model, 0.0, 1)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in average.state_dict().items())
