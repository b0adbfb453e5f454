"""Losses: binary cross-entropy on every step and on the fused map, soft IoU and absolute error on the fused map."""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, binary_cross_entropy_with_logits, l1_loss

from br2net.network import Predictions
from br2net.network.resampling import resize
from br2net.training.recipe import Recipe


def soft_iou_loss(probability: Tensor, mask: Tensor) -> Tensor:
    """1 - IoU with products for intersections, averaged over photographs and over both classes.

    Both are `(N, 1, H, W)`, 0..1. A class that a photograph lacks counts by its false positives alone.
    """
    losses = []
    for predicted, wanted in ((probability, mask), (1.0 - probability, 1.0 - mask)):
        intersection = (predicted * wanted).sum(dim=(1, 2, 3))
        union = (predicted + wanted).sum(dim=(1, 2, 3)) - intersection
        smooth = 0.01 * mask[0].numel()
        losses.append(1.0 - (intersection + smooth) / (union + smooth))
    return torch.stack(losses).mean()


def total_loss(predictions: Predictions, mask: Tensor, recipe: Recipe) -> Tensor:
    """Sum of the recipe's terms. mask: `(N, 1, H, W)`, 0..1, 1 = blurred."""
    fused = predictions.fused.float()
    loss = recipe.fused_weight * binary_cross_entropy_with_logits(fused, mask)
    for step in predictions.steps:
        loss = loss + recipe.step_weight * _step_loss(step.float(), mask, recipe)
    probability = torch.sigmoid(fused)
    if recipe.iou_weight:
        loss = loss + recipe.iou_weight * soft_iou_loss(probability, mask)
    if recipe.l1_weight:
        loss = loss + recipe.l1_weight * l1_loss(probability, mask)
    return loss


def _step_loss(step: Tensor, mask: Tensor, recipe: Recipe) -> Tensor:
    if recipe.supervision == "input":
        return binary_cross_entropy_with_logits(resize(step, (mask.shape[-2], mask.shape[-1])), mask)
    small = adaptive_avg_pool2d(mask, (step.shape[-2], step.shape[-1]))
    return binary_cross_entropy_with_logits(step, small)
