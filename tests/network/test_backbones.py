"""Backbones against the layouts of public checkpoints and the definitions of their layers."""

import pytest
import torch

from br2net.network.backbones import MobileNetV2, ResNeXt, build_backbone, fold_batch_norms
from br2net.network.config import Backbone
from br2net.network.weights import load_public_state
from tests.network import public_layouts

LAYOUTS = {
    "resnext101_32x4d": lambda: public_layouts.resnext((3, 4, 23, 3)),
    "resnext50_32x4d": lambda: public_layouts.resnext((3, 4, 6, 3)),
    "vgg16": public_layouts.vgg16,
    "mobilenet_v2": public_layouts.mobilenet_v2,
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_public_checkpoint_fills_every_weight_of_the_backbone(name: Backbone) -> None:
    state = LAYOUTS[name]()
    backbone = build_backbone(name)
    load_public_state(backbone, state, "synthetic")
    own = backbone.state_dict()
    assert own and all(torch.equal(own[key], state[key]) for key in own)


@pytest.mark.parametrize("name", LAYOUTS)
def test_feature_maps_have_the_stated_channels_and_strides(name: Backbone) -> None:
    backbone = build_backbone(name).eval()
    with torch.inference_mode():
        features = backbone(torch.zeros(1, 3, 64, 96))
    shapes = [tuple(feature.shape[1:]) for feature in features]
    assert shapes == [(c, 64 // s, 96 // s) for c, s in zip(backbone.channels, backbone.strides, strict=True)]


@pytest.mark.parametrize("name", ["resnext50_32x4d", "mobilenet_v2"])
def test_folding_batch_norms_changes_no_output(name: Backbone) -> None:
    backbone = build_backbone(name)
    load_public_state(backbone, LAYOUTS[name](), "synthetic")
    folded = build_backbone(name)
    load_public_state(folded, backbone.state_dict(), "synthetic")
    backbone.eval()
    fold_batch_norms(folded)
    folded.eval()
    image = torch.randn(2, 3, 65, 70)
    with torch.inference_mode():
        for expected, got in zip(backbone(image), folded(image), strict=True):
            assert (expected - got).abs().max() <= 1e-4 * (1 + expected.abs().max())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())


def test_an_inverted_residual_is_expand_depthwise_project_plus_input() -> None:
    block = MobileNetV2().eval().features[2 + 1]  # second block of 24 channels: stride 1, adds its input
    state = block.state_dict()
    x = torch.randn(1, 24, 9, 11)

    def convolve(value: torch.Tensor, conv: str, norm: str, groups: int = 1) -> torch.Tensor:
        weight = state[f"conv.{conv}.weight"]
        value = torch.nn.functional.conv2d(value, weight, padding=weight.shape[-1] // 2, groups=groups)
        names = ("running_mean", "running_var", "weight", "bias")
        return torch.nn.functional.batch_norm(value, *(state[f"conv.{norm}.{name}"] for name in names))

    hidden = convolve(x, "0.0", "0.1").clamp(0, 6)
    hidden = convolve(hidden, "1.0", "1.1", groups=144).clamp(0, 6)
    expected = x + convolve(hidden, "2", "3")
    with torch.inference_mode():
        assert torch.allclose(block(x), expected, atol=1e-5)


def test_resnext_has_as_many_parameters_as_published() -> None:
    """25.03 M for ResNeXt-50 32x4d with its classifier of 2,049,000 (Xie et al., table 1: 25.0 M)."""
    count = sum(parameter.numel() for parameter in ResNeXt((3, 4, 6, 3)).parameters())
    assert count + 2_049_000 == 25_028_904
