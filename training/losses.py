"""Losses: binary cross-entropy on every step and on the fused map, soft IoU and absolute error on the fused map.

Masks are NaN where a pixel is unknown. Such pixels count in no term, and no gradient comes from them.
"""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, binary_cross_entropy_with_logits

from br2net.network import Predictions
from br2net.network.resampling import resize
from br2net.training.recipe import Recipe


def split_unknown(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Split a mask with NaN for unknown pixels into its values (0 there) and its validity (1 known, 0 unknown)."""
    unknown = torch.isnan(mask)
    return mask.masked_fill(unknown, 0.0), (~unknown).to(mask.dtype)


def pool_known(values: Tensor, validity: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Average a mask over the known pixels of each cell; also give each cell's share of known pixels, 0..1.

    values, validity: `(N, 1, H, W)` as of `split_unknown`; both results are `(N, 1, *size)`.
    """
    share = adaptive_avg_pool2d(validity, size)
    return adaptive_avg_pool2d(values * validity, size) / share.clamp(min=1e-6), share


def cross_entropy(logits: Tensor, values: Tensor, validity: Tensor) -> Tensor:
    """Average binary cross-entropy over the known pixels of a batch; 0 where there are none."""
    total = binary_cross_entropy_with_logits(logits, values, weight=validity, reduction="sum")
    return total / validity.sum().clamp(min=1.0)


def soft_iou_loss(probability: Tensor, values: Tensor, validity: Tensor) -> Tensor:
    """Compute 1 - IoU with products for intersections, averaged over photographs and over both classes.

    All are `(N, 1, H, W)`, 0..1. A class that a photograph lacks counts by its false positives alone.
    """
    losses = []
    smooth = 0.01 * values[0].numel()
    for predicted, wanted in ((probability, values), (1.0 - probability, 1.0 - values)):
        intersection = (predicted * wanted * validity).sum(dim=(1, 2, 3))
        union = ((predicted + wanted) * validity).sum(dim=(1, 2, 3)) - intersection
        losses.append(1.0 - (intersection + smooth) / (union + smooth))
    return torch.stack(losses).mean()


def total_loss(predictions: Predictions, mask: Tensor, recipe: Recipe) -> Tensor:
    """Sum of the recipe's terms. mask: `(N, 1, H, W)`, 0..1, 1 = blurred, NaN = unknown."""
    values, validity = split_unknown(mask)
    fused = predictions.fused.float()
    loss = recipe.fused_weight * cross_entropy(fused, values, validity)
    for step in predictions.steps:
        loss = loss + recipe.step_weight * _step_loss(step.float(), values, validity, recipe)
    probability = torch.sigmoid(fused)
    if recipe.iou_weight:
        loss = loss + recipe.iou_weight * soft_iou_loss(probability, values, validity)
    if recipe.l1_weight:
        error = ((probability - values).abs() * validity).sum() / validity.sum().clamp(min=1.0)
        loss = loss + recipe.l1_weight * error
    return loss


def _step_loss(step: Tensor, values: Tensor, validity: Tensor, recipe: Recipe) -> Tensor:
    if recipe.supervision == "input":
        return cross_entropy(resize(step, (values.shape[-2], values.shape[-1])), values, validity)
    return cross_entropy(step, *pool_known(values, validity, (step.shape[-2], step.shape[-1])))
