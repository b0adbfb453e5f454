"""The inference form of a BR²Net: the same function with half the multiply-accumulates.

In the L2H pathway a step convolves `concat(O, resize(F))` at a large size although F is small and has many channels.
Here F's part of that convolution is done at F's own size (see `resampling`), O's channel keeps its small 3x3, and every
BatchNorm is folded. Where F already has the pathway's size, or a larger one, the plain convolution stays.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from br2net.network.backbones import fold_batch_norms
from br2net.network.fusion import fuse, weighted
from br2net.network.model import BR2Net, size_of
from br2net.network.refinement import Pathway, RefinementModule
from br2net.network.resampling import Method, Size, build_shift_and_sum, resize, split_taps


class FoldedRefinement(nn.Module):
    """A refinement step whose feature map has the pathway's size or a larger one: BatchNorm folded, else as it was."""

    def __init__(self, step: RefinementModule) -> None:
        super().__init__()
        self.step = copy.deepcopy(step).eval()
        fold_batch_norms(self.step)

    def forward(self, previous: Tensor, feature: Tensor) -> Tensor:
        """See `RefinementModule.forward`."""
        output: Tensor = self.step(previous, feature)
        return output


class CommutedRefinement(nn.Module):
    """A refinement step whose feature map is smaller than the pathway: its convolution runs at the map's own size."""

    def __init__(self, step: RefinementModule, method: Method) -> None:
        super().__init__()
        step = copy.deepcopy(step).eval()
        first = fuse_conv_bn_eval(step.conv1, step.bn1)
        width, channels = first.out_channels, first.in_channels - 1
        self.previous_conv = nn.Conv2d(1, width, 3, padding=1)
        self.tap_conv = nn.Conv2d(channels, 9 * width, 1, bias=False)
        with torch.no_grad():
            self.previous_conv.weight.copy_(first.weight[:, :1])
            if self.previous_conv.bias is not None and first.bias is not None:
                self.previous_conv.bias.copy_(first.bias)
            self.tap_conv.weight.copy_(split_taps(first.weight[:, 1:]))
        self.shift_and_sum = build_shift_and_sum(method, width)
        fold_batch_norms(step)
        step.bn1 = nn.Identity()  # type: ignore[assignment]  # folded above, and its convolution is gone
        del step.conv1
        self.rest = step

    def forward(self, previous: Tensor, feature: Tensor) -> Tensor:
        """See `RefinementModule.forward`."""
        hidden = self.previous_conv(previous) + self.shift_and_sum(self.tap_conv(feature), size_of(previous))
        return self.rest.refine(hidden, previous)


class RestructuredPathway(nn.Module):
    """A pathway of folded and commuted steps; `commuted[i]` says which steps have the smaller feature map.

    Its output is the weighted sum of its logit maps, and steps after the last one with a weight are left out.
    """

    def __init__(self, pathway: Pathway, commuted: list[bool], weights: tuple[float, ...], method: Method) -> None:
        super().__init__()
        used = max((index for index, weight in enumerate(weights) if weight), default=0)
        self.weights = weights[: used + 1]
        self.start = copy.deepcopy(pathway.start)
        self.steps = nn.ModuleList()
        for step, smaller in zip(pathway.steps[:used], commuted[:used], strict=True):
            assert isinstance(step, RefinementModule)
            self.steps.append(CommutedRefinement(step, method) if smaller else FoldedRefinement(step))

    def forward(self, features: list[Tensor], size: Size) -> Tensor:
        """features: in the order of the pathway; gives the weighted logits, `(N, 1, *size)`."""
        outputs = [resize(self.start(features[0]), size)]  # one channel is resized instead of all: they commute
        for step, feature in zip(self.steps, features[1:], strict=False):
            outputs.append(step(outputs[-1], feature))
        return weighted(outputs, self.weights)


class RestructuredBR2Net(nn.Module):
    """The inference form. It cannot be trained; make it with `restructure`."""

    def __init__(self, model: BR2Net, method: Method) -> None:
        super().__init__()
        self.config = model.config
        self.backbone = copy.deepcopy(model.backbone).eval()
        fold_batch_norms(self.backbone)
        self.attention = copy.deepcopy(model.attention)
        self.fusion = copy.deepcopy(model.fusion)
        self.guided_filter = copy.deepcopy(model.guided_filter)
        strides = self.backbone.strides
        self.l2h = self.h2l = None
        l2h_weights, h2l_weights = self.config.step_weights()
        if model.l2h is not None:
            own = strides[self.config.l2h_level]
            self.l2h = RestructuredPathway(model.l2h, [stride > own for stride in strides[1:]], l2h_weights, method)
        if model.h2l is not None:
            own = strides[self.config.h2l_level]
            self.h2l = RestructuredPathway(model.h2l, [stride > own for stride in strides[-2::-1]], h2l_weights, method)
        self.eval().requires_grad_(False)

    def logits(self, image: Tensor) -> Tensor:
        """image: `(N, 3, H, W)`, RGB, normalised; gives the fused logits `(N, 1, H, W)`."""
        features = [gate(feature) for gate, feature in zip(self.attention, self.backbone(image), strict=True)]
        maps = []
        if self.l2h is not None:
            maps.append(self.l2h(features, size_of(features[self.config.l2h_level])))
        if self.h2l is not None:
            maps.append(self.h2l(features[::-1], size_of(features[self.config.h2l_level])))
        return fuse(maps, image, self.fusion, self.guided_filter)

    def forward(self, image: Tensor) -> Tensor:
        """image: `(N, 3, H, W)`, RGB, normalised. Gives the blur map `(N, 1, H, W)`, 0..1, 1 = blurred."""
        return torch.sigmoid(self.logits(image))


def restructure(model: BR2Net, method: Method = "matrices") -> RestructuredBR2Net:
    """Derive the inference form of `model`; the two give the same output up to rounding, at every size and batch.

    Args:
        model: the plain form; it is copied, not changed.
        method: how the commuted convolutions are resized, shifted and summed; `matrices` is for fixed input sizes
            when exported, the other two allow symbolic ones.
    """
    return RestructuredBR2Net(model, method)
