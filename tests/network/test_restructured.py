"""The restructured form computes the same function as the plain one, with half the work."""

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from br2net.network import NAMED_CONFIGS, BR2Net, BR2NetConfig, restructure
from br2net.network.config import Fusion, Pathways
from br2net.network.resampling import Method, interpolation_matrix, shifted_interpolation_matrix

METHODS = get_args(Method)


def with_lively_norms(model: BR2Net) -> BR2Net:
    """Give every BatchNorm statistics of its own, so that folding has something to get wrong, and logits a wide range.

    Fresh weights give logits that are all but equal; a trained network's span ten and more.
    """
    for name, module in model.named_modules():
        if name.endswith((".start", ".conv3")) and not name.startswith("backbone") and isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, 1.0)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0.0, 0.3)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.2)
    return model.eval()


def relative_difference(model: BR2Net, image: torch.Tensor, method: Method) -> float:
    with torch.inference_mode():
        expected = model.predict(image).fused
        got = restructure(model, method).logits(image)
    assert got.shape == expected.shape
    return float((got - expected).abs().max() / (expected.max() - expected.min()))


@settings(max_examples=25, deadline=None)
@given(
    pathways=st.sampled_from(get_args(Pathways)),
    fusion=st.sampled_from(get_args(Fusion)),
    residual=st.booleans(),
    attention=st.booleans(),
    folded=st.booleans(),
    levels=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    size=st.tuples(st.integers(33, 130), st.integers(33, 130)),
    batch=st.integers(1, 3),
    method=st.sampled_from(METHODS),
    seed=st.integers(0, 1000),
    weights=st.sampled_from(
        [(0.5, 0.5), (2.25, 0.75), (0, 0.5, 1, 0, 0, 0, 0, 0, 2, 0), (1,) * 10, (0,) * 5 + (1,) * 5]
    ),
    guided_radius=st.sampled_from([0, 4]),
)
def test_it_equals_the_plain_form_for_every_configuration_size_and_batch(
    pathways: Pathways,
    fusion: Fusion,
    residual: bool,
    attention: bool,
    folded: bool,
    levels: tuple[int, int],
    size: tuple[int, int],
    batch: int,
    method: Method,
    seed: int,
    weights: tuple[float, ...],
    guided_radius: int,
) -> None:
    torch.manual_seed(seed)
    config = BR2NetConfig(
        backbone="mobilenet_v2",
        backbone_norm="folded" if folded else "batch",
        width=5,
        pathways=pathways,
        residual=residual,
        attention=attention,
        fusion=fusion,
        fusion_weights=weights,
        guided_radius=guided_radius,
        l2h_level=levels[0],
        h2l_level=levels[1],
    )
    model = with_lively_norms(BR2Net(config))
    assert relative_difference(model, torch.randn(batch, 3, *size), method) <= 5e-5  # `conv` takes a logarithm


@pytest.mark.parametrize("name", ["resnext101", "resnext50", "vgg16"])
@pytest.mark.parametrize("method", METHODS)
def test_it_equals_the_plain_form_for_the_large_backbones_at_an_odd_size(name: str, method: Method) -> None:
    torch.manual_seed(1)
    model = with_lively_norms(BR2Net(NAMED_CONFIGS[name]))
    assert relative_difference(model, torch.randn(1, 3, 69, 101), method) <= 1e-5


def giga_macs(network: nn.Module) -> float:
    """Counted by PyTorch's own flop counter at 320x320; two flops are one multiply-accumulate."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, 320, 320, device="meta"))
    return counter.get_total_flops() / 2e9


@pytest.mark.parametrize("method", METHODS)
def test_the_papers_network_needs_half_the_multiply_accumulates(method: Method) -> None:
    with torch.device("meta"):
        model = BR2Net(NAMED_CONFIGS["resnext101"]).eval()
        restructured = restructure(model, method)
    assert giga_macs(model) == pytest.approx(48.65, abs=0.01)
    assert giga_macs(restructured.to("meta")) <= 24.4


def test_restructuring_leaves_the_plain_form_as_it_was() -> None:
    model = with_lively_norms(BR2Net(NAMED_CONFIGS["mobile"]))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    restructure(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@settings(max_examples=30, deadline=None)
@given(source=st.integers(1, 40), target=st.integers(1, 90))
def test_the_interpolation_matrix_is_pytorchs_bilinear_resize(source: int, target: int) -> None:
    column = torch.randn(1, 1, source, 1)
    expected = F.interpolate(column, (target, 1), mode="bilinear", align_corners=False)[0, 0, :, 0]
    assert torch.allclose(interpolation_matrix(source, target) @ column[0, 0, :, 0], expected, atol=1e-5)


def test_the_shifted_matrix_is_a_zero_padded_convolution_of_the_resized_signal() -> None:
    signal, taps = torch.randn(7), torch.randn(3)
    resized = interpolation_matrix(7, 20) @ signal
    expected = F.conv1d(resized[None, None], taps[None, None], padding=1)[0, 0]
    stacked = torch.cat([tap * signal for tap in taps])
    assert torch.allclose(shifted_interpolation_matrix(7, 20) @ stacked, expected, atol=1e-5)


def test_steps_that_weigh_nothing_are_left_out_and_the_map_stays() -> None:
    torch.manual_seed(2)
    weights = (0.0, 0.5, 1.5, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0)
    config = BR2NetConfig(backbone="mobilenet_v2", width=5, l2h_level=1, h2l_level=3, fusion_weights=weights)
    model = with_lively_norms(BR2Net(config))
    fast = restructure(model, "matrices")
    assert fast.l2h is not None and fast.h2l is not None
    assert (len(fast.l2h.steps), len(fast.h2l.steps)) == (2, 4 - 1)
    image = torch.randn(1, 3, 96, 64)
    l2h, h2l = model.predict(image).steps[:5], model.predict(image).steps[5:]
    enlarged = [torch.nn.functional.interpolate(step, (96, 64), mode="bilinear") for step in (*l2h, *h2l)]
    expected = torch.stack([weight * step for weight, step in zip(weights, enlarged, strict=True)]).sum(dim=0)
    assert torch.allclose(fast.logits(image), expected, rtol=1e-4, atol=1e-4)
