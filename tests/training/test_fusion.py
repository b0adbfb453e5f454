"""Choosing fusion weights: never worse on what they were chosen by, and part of the network from then on."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from br2net.network import BR2Net, BR2NetConfig, Checkpoint
from br2net.network.checkpoint import ModelFacts
from br2net.network.refinement import RefinementModule
from br2net.runtime.metadata import SYMMETRIC
from br2net.runtime.preprocessing import preprocess
from br2net.training import fusion
from br2net.training.data import HeldOutSet, Sample
from br2net.training.fusion import GUIDED_RADIUS, choose_fusion

CONFIG = BR2NetConfig(backbone="mobilenet_v2", width=4, l2h_level=1, h2l_level=3)


def held_out(*samples: Sample) -> list[HeldOutSet]:
    return [HeldOutSet("set", list(samples))]


def mean_error(model: BR2Net, sample: Sample) -> float:
    image = torch.from_numpy(preprocess([sample.image], 64, 64, SYMMETRIC))
    with torch.inference_mode():
        blur = model(image)[0, 0].numpy()
    height, width = sample.mask.shape
    return float(np.abs(cv2.resize(blur, (width, height)) - sample.mask).mean())


def hesitant_checkpoint(sign: float) -> tuple[Checkpoint, Sample]:
    """A network whose map is about 0.6 everywhere (0.4 with `sign` -1), and a photograph blurred everywhere (nowhere)."""
    torch.manual_seed(0)
    model = BR2Net(CONFIG).eval()
    with torch.no_grad():
        for pathway in (model.l2h, model.h2l):
            assert pathway is not None and pathway.start.bias is not None
            pathway.start.weight.zero_()
            pathway.start.bias.fill_(0.4 * sign)
            for step in pathway.steps:
                assert isinstance(step, RefinementModule) and step.conv3.bias is not None
                step.conv3.weight.zero_()
                step.conv3.bias.zero_()
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    mask = np.full((60, 90), 1.0 if sign > 0 else 0.0, np.float32)
    return Checkpoint(model, ModelFacts("small", 64, 64)), Sample(image, mask, "x")


def test_a_hesitant_map_becomes_decisive_and_its_error_falls() -> None:
    for sign in (1.0, -1.0):
        checkpoint, sample = hesitant_checkpoint(sign)
        chosen = choose_fusion(checkpoint, held_out(sample), SYMMETRIC)
        assert sum(chosen.model.config.fusion_weights) > 1.0
        assert mean_error(chosen.model, sample) < mean_error(checkpoint.model, sample)


def test_the_chosen_weights_are_those_of_the_fused_logits() -> None:
    checkpoint, sample = hesitant_checkpoint(1.0)
    model = choose_fusion(checkpoint, held_out(sample), SYMMETRIC).model
    predictions = model.predict(torch.zeros(1, 3, 64, 64))
    weights = model.config.fusion_weights
    assert len(weights) == 10 and min(weights) >= 0.0
    enlarged = [
        torch.nn.functional.interpolate(step, (64, 64), mode="bilinear", align_corners=False)
        for step in predictions.steps
    ]
    expected = torch.stack([weight * step for weight, step in zip(weights, enlarged, strict=True)]).sum(dim=0)
    assert torch.allclose(predictions.fused, expected, atol=1e-4)


def test_a_step_that_is_wrong_weighs_nothing() -> None:
    checkpoint, sample = hesitant_checkpoint(1.0)
    l2h = checkpoint.model.l2h
    assert l2h is not None
    last = l2h.steps[-1]
    assert isinstance(last, RefinementModule) and last.conv3.bias is not None
    with torch.no_grad():
        last.conv3.bias.fill_(-3.0)  # the last map of L2H calls sharp what is blurred
    weights = choose_fusion(checkpoint, held_out(sample), SYMMETRIC).model.config.fusion_weights
    assert weights[4] == 0.0 and min(weights[1:4]) > 0.0


def test_a_network_of_one_pathway_stays_as_it_is() -> None:
    checkpoint, sample = hesitant_checkpoint(1.0)
    alone = Checkpoint(BR2Net(BR2NetConfig(backbone="mobilenet_v2", width=4, pathways="l2h")), checkpoint.facts)
    assert choose_fusion(alone, held_out(sample), SYMMETRIC) is alone


@pytest.mark.parametrize(("edge_in_photograph", "radius"), [(20, GUIDED_RADIUS), (8, 0)])
def test_a_guided_filter_is_chosen_where_edges_of_photographs_are_those_of_masks(
    monkeypatch: pytest.MonkeyPatch, edge_in_photograph: int, radius: int
) -> None:
    logits = torch.full((3, 10, 32, 32), -1.0)
    logits[..., 18:] = 1.0  # two pixels before the mask's edge
    guides = torch.full((3, 3, 32, 32), -0.5)
    guides[..., edge_in_photograph:] = 0.5
    masks = torch.zeros(3, 32, 32)
    masks[..., 20:] = 1.0
    monkeypatch.setattr(
        fusion, "_look", lambda *_: fusion._Seen(logits, guides, masks, torch.full((3, 32, 32), 1 / 3072))
    )
    checkpoint, sample = hesitant_checkpoint(1.0)
    assert choose_fusion(checkpoint, held_out(sample), SYMMETRIC).model.config.guided_radius == radius


def test_unknown_pixels_do_not_change_the_chosen_fusion() -> None:
    checkpoint, sample = hesitant_checkpoint(1.0)
    mask = sample.mask.copy()
    mask[:, :30] = np.nan  # the map is the same everywhere, so the rest says the same
    expected = choose_fusion(checkpoint, held_out(sample), SYMMETRIC).model.config
    assert choose_fusion(checkpoint, held_out(replace(sample, mask=mask)), SYMMETRIC).model.config == expected


def test_the_fusion_follows_the_set_that_weighs_more() -> None:
    checkpoint, blurred = hesitant_checkpoint(1.0)
    sharp = replace(blurred, mask=np.zeros_like(blurred.mask))
    sets = [HeldOutSet("blurred", [blurred], score_weight=0.9), HeldOutSet("sharp", [sharp] * 5, score_weight=0.1)]
    assert sum(choose_fusion(checkpoint, sets, SYMMETRIC).model.config.fusion_weights) > 1.0
    sets = [HeldOutSet("blurred", [blurred], score_weight=0.1), HeldOutSet("sharp", [sharp] * 5, score_weight=0.9)]
    assert sum(choose_fusion(checkpoint, sets, SYMMETRIC).model.config.fusion_weights) < 1.0
