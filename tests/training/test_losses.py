"""Losses and schedules against their definitions."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from br2net.network import BR2Net, BR2NetConfig, Predictions
from br2net.training.losses import soft_iou_loss, total_loss
from br2net.training.recipe import MOBILE, PAPER
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
    assert float(soft_iou_loss(mask, mask)) == pytest.approx(0.0, abs=1e-6)
    assert float(soft_iou_loss(1.0 - mask, mask)) > 0.98


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
