"""Synthetic state dicts in the layouts of public checkpoints, written down from those, not from the code under test."""

from itertools import pairwise

import torch
from torch import Tensor

State = dict[str, Tensor]


def convolution(name: str, out_channels: int, in_channels: int, kernel: int, bias: bool = False) -> State:
    state = {f"{name}.weight": torch.randn(out_channels, in_channels, kernel, kernel) * 0.05}
    if bias:
        state[f"{name}.bias"] = torch.randn(out_channels) * 0.05
    return state


def batch_norm(name: str, channels: int) -> State:
    return {
        f"{name}.weight": torch.rand(channels) + 0.5,
        f"{name}.bias": torch.randn(channels) * 0.1,
        f"{name}.running_mean": torch.randn(channels) * 0.1,
        f"{name}.running_var": torch.rand(channels) + 0.5,
        f"{name}.num_batches_tracked": torch.tensor(1),
    }


def resnext(blocks: tuple[int, int, int, int]) -> State:
    """Torchvision and timm: ResNeXt, 32 groups, base width 4."""
    state = convolution("conv1", 64, 3, 7) | batch_norm("bn1", 64)
    in_channels = 64
    for stage, count in enumerate(blocks, start=1):
        width, out_channels = 128 * 2 ** (stage - 1), 256 * 2 ** (stage - 1)
        for index in range(count):
            name = f"layer{stage}.{index}"
            state |= convolution(f"{name}.conv1", width, in_channels, 1) | batch_norm(f"{name}.bn1", width)
            state |= convolution(f"{name}.conv2", width, width // 32, 3) | batch_norm(f"{name}.bn2", width)
            state |= convolution(f"{name}.conv3", out_channels, width, 1) | batch_norm(f"{name}.bn3", out_channels)
            if index == 0:
                state |= convolution(f"{name}.downsample.0", out_channels, in_channels, 1)
                state |= batch_norm(f"{name}.downsample.1", out_channels)
            in_channels = out_channels
    return state | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}


def vgg16() -> State:
    """Torchvision: vgg16 without BatchNorm."""
    indices = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    channels = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    state: State = {}
    for index, in_channels, out_channels in zip(indices, channels, channels[1:], strict=False):
        state |= convolution(f"features.{index}", out_channels, in_channels, 3, bias=True)
    return state | {"classifier.6.weight": torch.zeros(1000, 4096), "classifier.6.bias": torch.zeros(1000)}


def mobilenet_v2() -> State:
    """Torchvision: mobilenet_v2, width 1.0."""
    state = convolution("features.0.0", 32, 3, 3) | batch_norm("features.0.1", 32)
    state |= convolution("features.1.conv.0.0", 32, 1, 3) | batch_norm("features.1.conv.0.1", 32)
    state |= convolution("features.1.conv.1", 16, 32, 1) | batch_norm("features.1.conv.2", 16)
    channels = [16, *[24] * 2, *[32] * 3, *[64] * 4, *[96] * 3, *[160] * 3, 320]
    for index, (in_channels, out_channels) in enumerate(pairwise(channels), start=2):
        name, hidden = f"features.{index}.conv", 6 * in_channels
        state |= convolution(f"{name}.0.0", hidden, in_channels, 1) | batch_norm(f"{name}.0.1", hidden)
        state |= convolution(f"{name}.1.0", hidden, 1, 3) | batch_norm(f"{name}.1.1", hidden)
        state |= convolution(f"{name}.2", out_channels, hidden, 1) | batch_norm(f"{name}.3", out_channels)
    state |= convolution("features.18.0", 1280, 320, 1) | batch_norm("features.18.1", 1280)
    return state | {"classifier.1.weight": torch.zeros(1000, 1280), "classifier.1.bias": torch.zeros(1000)}


def release() -> State:
    """The authors' `CA_20000.pth`: a Torch-converted backbone of numbered Sequentials, heads by their attribute names."""
    state = convolution("layer0.0", 64, 3, 7) | batch_norm("layer0.1", 64)
    in_channels = 64
    for stage, count in enumerate((3, 4, 23, 3), start=1):
        width, out_channels = 128 * 2 ** (stage - 1), 256 * 2 ** (stage - 1)
        for index in range(count):
            name = f"layer{stage}.{index}.0"
            state |= convolution(f"{name}.0.0.0", width, in_channels, 1) | batch_norm(f"{name}.0.0.1", width)
            state |= convolution(f"{name}.0.0.3", width, width // 32, 3) | batch_norm(f"{name}.0.0.4", width)
            state |= convolution(f"{name}.0.1", out_channels, width, 1) | batch_norm(f"{name}.0.2", out_channels)
            if index == 0:
                state |= convolution(f"{name}.1.0", out_channels, in_channels, 1)
                state |= batch_norm(f"{name}.1.1", out_channels)
            in_channels = out_channels
    channels = (64, 256, 512, 1024, 2048)
    for level, count in enumerate(channels):
        state |= convolution(f"CAlayer{level}.0.conv_du.0", count // 16, count, 1, bias=True)
        state |= convolution(f"CAlayer{level}.0.conv_du.2", count, count // 16, 1, bias=True)
    for pathway, order in (("L2H", channels), ("H2L", channels[::-1])):
        state |= convolution(f"predict{pathway}0", 1, order[0], 1, bias=True)
        for step, count in enumerate(order[1:], start=1):
            name = f"predict{pathway}{step}"
            state |= convolution(f"{name}.0", 128, count + 1, 3, bias=True) | batch_norm(f"{name}.1", 128)
            state |= {f"{name}.2.weight": torch.full((1,), 0.25)}
            state |= convolution(f"{name}.3", 128, 128, 3, bias=True) | batch_norm(f"{name}.4", 128)
            state |= {f"{name}.5.weight": torch.full((1,), 0.25)}
            state |= convolution(f"{name}.6", 1, 128, 1, bias=True)
    return state
