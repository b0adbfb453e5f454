"""Fusion of the two pathways at the size of the input."""

import torch
from torch import Tensor, nn

LARGEST_LOGIT = 12.0


def weighted(maps: list[Tensor], weights: tuple[float, ...]) -> Tensor:
    """Sum of the logit maps `(N, 1, h, w)` of one pathway, each times its weight; what weighs nothing is not read."""
    terms = [map_ if weight == 1.0 else map_ * weight for map_, weight in zip(maps, weights, strict=True) if weight]
    total = terms[0] if terms else torch.zeros_like(maps[-1])
    for term in terms[1:]:
        total = total + term
    return total


class MeanFusion(nn.Module):
    """The release: the mean of the logit maps. Each pathway's map comes with its weight in it, so this is their sum."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        """maps: one or two logit maps `(N, 1, H, W)`; gives logits of the same shape."""
        return maps[0] if len(maps) == 1 else maps[0] + maps[1]


class ConvFusion(nn.Module):
    """The paper: both maps concatenated, one convolution with ReLU.

    A ReLU's output cannot be a logit (it would never fall below 0.5), so the convolution works on the maps as
    probabilities and its output is the blur map itself, cut at 1. It starts as their mean.
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(maps, 1, 3, padding=1)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[:, :, 1, 1] = 1.0 / maps
            self.conv.bias.zero_()  # type: ignore[union-attr]
        self.relu = nn.ReLU()

    def forward(self, maps: list[Tensor]) -> Tensor:
        """maps: logit maps `(N, 1, H, W)`; gives logits of the same shape, within ±12."""
        fused = self.relu(self.conv(torch.sigmoid(torch.cat(maps, dim=1))))
        fused = fused.float()  # in bfloat16 the cut just below 1 would be 1
        smallest = float(torch.sigmoid(torch.tensor(-LARGEST_LOGIT)))
        fused = fused.clamp(smallest, 1.0 - smallest)
        return torch.log(fused) - torch.log1p(-fused)
