"""Fusion of the two pathways at the size of the input, or at a quarter of it where a guided filter follows."""

import torch
from torch import Tensor, nn

from br2net.network.guided_filter import GuidedFilter
from br2net.network.resampling import resize

LARGEST_LOGIT = 12.0


def fuse(maps: list[Tensor], image: Tensor, fusion: nn.Module, guided_filter: GuidedFilter | None) -> Tensor:
    """Logits of the whole network, `(N, 1, H, W)`.

    Args:
        maps: one logit map of each pathway, `(N, 1, h, w)` of any size.
        image: the photograph, normalised, `(N, 3, H, W)`.
        fusion: `MeanFusion` or `ConvFusion`.
        guided_filter: filters the fused map, which is then made at the guide's size; None for none.
    """
    if guided_filter is None:
        size = (image.shape[-2], image.shape[-1])
        fused: Tensor = fusion([resize(map_, size) for map_ in maps])
        return fused
    guide = guided_filter.guide(image)
    size = (guide.shape[-2], guide.shape[-1])
    filtered: Tensor = guided_filter(fusion([resize(map_, size) for map_ in maps]), guide, image)
    return filtered


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
