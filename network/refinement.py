"""RLRM, the residual learning and refining module, and the pathway that is a chain of them."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from br2net.network.resampling import MatrixShiftAndSum, Size, resize, split_taps


class RefinementModule(nn.Module):
    """One step: `O_t = Φ(concat(O_{t-1}, F_t)) + O_{t-1}`; without the sum where `residual` is False.

    Φ is conv3x3(C+1 -> width) BN PReLU, conv3x3(width -> width) BN PReLU, conv1x1(width -> 1).

    Attributes:
        commuted: run the first convolution at the feature map's own size where that is smaller (see `resampling`). The
            same weights, the same output up to rounding, and fewer multiply-accumulates, in training too.
    """

    def __init__(self, channels: int, width: int, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.conv1 = nn.Conv2d(channels + 1, width, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.PReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(width)
        self.act2 = nn.PReLU()
        self.conv3 = nn.Conv2d(width, 1, 1)
        self.commuted = False
        self.shift_and_sum = MatrixShiftAndSum()

    def forward(self, previous: Tensor, feature: Tensor) -> Tensor:
        """previous: logits `(N, 1, h, w)`; feature: `(N, C, h', w')`, resized to `(h, w)`; gives logits `(N, 1, h, w)`."""
        size: Size = (previous.shape[-2], previous.shape[-1])
        if self.commuted and feature.shape[-1] < size[1]:
            weight = self.conv1.weight
            taps = conv2d(feature, split_taps(weight[:, 1:]))
            hidden = conv2d(previous, weight[:, :1], self.conv1.bias, padding=1) + self.shift_and_sum(taps, size)
        else:
            hidden = self.conv1(torch.cat([previous, resize(feature, size)], dim=1))
        return self.refine(hidden, previous)

    def refine(self, hidden: Tensor, previous: Tensor) -> Tensor:
        """The part after the first convolution. hidden: `(N, width, h, w)`, its output."""
        hidden = self.act1(self.bn1(hidden))
        hidden = self.act2(self.bn2(self.conv2(hidden)))
        update: Tensor = self.conv3(hidden)
        return previous + update if self.residual else update


class Pathway(nn.Module):
    """A 1x1 convolution to one channel, then one RLRM per further feature map.

    L2H gets F1, F2, .. F5 and works at a large size; H2L gets F5, F4, .. F1 and works at a small one.
    """

    def __init__(self, channels: list[int], width: int, residual: bool) -> None:
        super().__init__()
        self.start = nn.Conv2d(channels[0], 1, 1)
        self.steps = nn.ModuleList(RefinementModule(count, width, residual) for count in channels[1:])

    def forward(self, features: list[Tensor], size: Size) -> list[Tensor]:
        """features: in the order of the pathway; size: `(h, w)` it works at. Gives the logits of each step, `(N, 1, h, w)`."""
        outputs = [self.start(resize(features[0], size))]
        for step, feature in zip(self.steps, features[1:], strict=True):
            outputs.append(step(outputs[-1], feature))
        return outputs
