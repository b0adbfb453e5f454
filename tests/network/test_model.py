"""BR²Net against its definition, computed step by step from the weights with plain functions."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from br2net.errors import InputError
from br2net.network import NAMED_CONFIGS, BR2Net, BR2NetConfig
from br2net.network.fusion import ConvFusion

TINY = BR2NetConfig(backbone="mobilenet_v2", width=6, l2h_level=1, h2l_level=3)


def by_definition(model: BR2Net, image: Tensor) -> Tensor:
    """PAPER: CAM, both pathways of RLRMs, mean of the logits; written without the modules under test."""
    state = model.state_dict()
    features = []
    for level, feature in enumerate(model.backbone(image)):
        pooled = feature.mean(dim=(2, 3), keepdim=True)
        hidden = F.conv2d(pooled, state[f"attention.{level}.reduce.weight"], state[f"attention.{level}.reduce.bias"])
        gate = F.conv2d(
            hidden.relu(), state[f"attention.{level}.expand.weight"], state[f"attention.{level}.expand.bias"]
        )
        features.append(feature * gate.sigmoid())

    def block(x: Tensor, name: str, index: int) -> Tensor:
        x = F.conv2d(x, state[f"{name}.conv{index}.weight"], state[f"{name}.conv{index}.bias"], padding=1)
        names = ("running_mean", "running_var", "weight", "bias")
        x = F.batch_norm(x, *(state[f"{name}.bn{index}.{key}"] for key in names))
        return F.prelu(x, state[f"{name}.act{index}.weight"])

    def pathway(name: str, inputs: list[Tensor], size: torch.Size) -> Tensor:
        inputs = [F.interpolate(x, size, mode="bilinear", align_corners=False) for x in inputs]
        output = F.conv2d(inputs[0], state[f"{name}.start.weight"], state[f"{name}.start.bias"])
        for step, feature in enumerate(inputs[1:]):
            own = f"{name}.steps.{step}"
            hidden = block(block(torch.cat([output, feature], 1), own, 1), own, 2)
            output = F.conv2d(hidden, state[f"{own}.conv3.weight"], state[f"{own}.conv3.bias"]) + output
        return F.interpolate(output, image.shape[-2:], mode="bilinear", align_corners=False)

    config = model.config
    l2h = pathway("l2h", features, features[config.l2h_level].shape[-2:])
    h2l = pathway("h2l", features[::-1], features[config.h2l_level].shape[-2:])
    return (l2h + h2l) / 2


def test_the_network_computes_what_the_paper_defines() -> None:
    torch.manual_seed(0)
    model = BR2Net(TINY).eval()
    image = torch.randn(2, 3, 75, 101)
    with torch.inference_mode():
        expected = by_definition(model, image)
        assert torch.allclose(model.predict(image).fused, expected, atol=1e-5)
        assert torch.allclose(model(image), expected.sigmoid(), atol=1e-5)


def test_the_papers_network_has_50_6_million_parameters() -> None:
    with torch.device("meta"):
        model = BR2Net(NAMED_CONFIGS["resnext101"])
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 1) == 50.6


def test_training_gets_ten_steps_and_the_fused_map() -> None:
    predictions = BR2Net(TINY).eval().predict(torch.zeros(1, 3, 64, 64))
    assert [tuple(step.shape[-2:]) for step in predictions.steps] == [(16, 16)] * 5 + [(4, 4)] * 5
    assert tuple(predictions.fused.shape) == (1, 1, 64, 64)


@pytest.mark.parametrize("pathways", ["l2h", "h2l"])
def test_a_pathway_alone_is_its_own_fusion(pathways: str) -> None:
    config = BR2NetConfig(backbone="mobilenet_v2", width=4, l2h_level=1, h2l_level=3, pathways=pathways)  # type: ignore[arg-type]
    predictions = BR2Net(config).eval().predict(torch.randn(1, 3, 64, 64))
    expected = F.interpolate(predictions.steps[-1], (64, 64), mode="bilinear", align_corners=False)
    assert len(predictions.steps) == 5 and torch.equal(predictions.fused, expected)


def test_without_residual_a_step_gives_its_own_prediction() -> None:
    torch.manual_seed(0)
    model = BR2Net(BR2NetConfig(backbone="mobilenet_v2", width=4, residual=False)).eval()
    assert model.l2h is not None
    step = model.l2h.steps[0]
    previous, feature = torch.randn(1, 1, 8, 8), torch.randn(1, 24, 8, 8)
    step.residual = True  # type: ignore[assignment]
    with_residual = step(previous, feature)
    step.residual = False  # type: ignore[assignment]
    assert torch.allclose(with_residual - previous, step(previous, feature), atol=1e-6)


def test_without_attention_the_features_pass_ungated() -> None:
    model = BR2Net(BR2NetConfig(backbone="mobilenet_v2", width=4, attention=False))
    assert not any(name.startswith("attention") for name, _ in model.named_parameters())


def test_convolutional_fusion_starts_as_the_mean_of_the_two_maps() -> None:
    model = BR2Net(BR2NetConfig(backbone="mobilenet_v2", width=4, fusion="conv")).eval()
    maps = [torch.randn(1, 1, 20, 30), torch.randn(1, 1, 20, 30)]
    expected = (maps[0].sigmoid() + maps[1].sigmoid()) / 2
    assert torch.allclose(model.fusion(maps).sigmoid(), expected, atol=1e-5)


def test_commuted_training_gives_the_same_outputs_and_gradients() -> None:
    torch.manual_seed(0)
    model = BR2Net(TINY).train()
    image = torch.randn(2, 3, 70, 90)
    outputs, gradients = [], []
    for commuted in (False, True):
        model.commute(commuted)
        model.zero_grad()
        fused = model.predict(image).fused
        fused.square().mean().backward()  # type: ignore[no-untyped-call]
        assert model.l2h is not None
        gradients.append(model.l2h.steps[3].conv1.weight.grad.clone())  # type: ignore[union-attr, operator]
        outputs.append(fused.detach())
    assert torch.allclose(outputs[0], outputs[1], atol=1e-4)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-4 * float(gradients[0].abs().max()) + 1e-7)


@pytest.mark.parametrize("wrong", [{"backbone": "alexnet"}, {"fusion": "max"}, {"width": 0}, {"l2h_level": 5}])
def test_an_impossible_configuration_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        BR2NetConfig(**wrong)  # type: ignore[arg-type]


def test_a_configuration_survives_json() -> None:
    config = NAMED_CONFIGS["mobile"]
    assert BR2NetConfig.from_json(config.to_json()) == config
    with pytest.raises(InputError, match="unknown fields: depth"):
        BR2NetConfig.from_json('{"depth": 3}')


def test_convolutional_fusion_is_finite_under_bfloat16_where_both_maps_are_sure() -> None:
    fusion = ConvFusion(2)
    maps = [torch.full((1, 1, 8, 8), 50.0) for _ in range(2)]
    with torch.autocast("cpu", torch.bfloat16):
        fused = fusion([torch.cat([maps[0], -maps[0]], dim=3), torch.cat([maps[1], -maps[1]], dim=3)])
    F.binary_cross_entropy_with_logits(fused, torch.ones_like(fused)).backward()  # type: ignore[no-untyped-call]
    assert bool(torch.isfinite(fused).all()) and bool(fused.max() > 6.0) and bool(fused.min() < -6.0)
    assert all(bool(torch.isfinite(item.grad).all()) for item in fusion.parameters() if item.grad is not None)
