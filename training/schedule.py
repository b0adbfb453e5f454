"""Optimizers and learning rates of the recipes, and the running average (EMA) of the weights."""

import math

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from br2net.network import BR2Net
from br2net.training.recipe import Recipe

WARM_UP = 0.1  # share of the schedule in which a one-cycle rate rises


def build_optimizer(model: BR2Net, recipe: Recipe) -> Optimizer:
    """Make the recipe's optimizer; biases and norms do not decay, and the paper's SGD gives biases twice the rate.

    Each parameter group carries its largest rate as `peak_lr`.
    """
    bias_factor = 2.0 if recipe.optimizer == "sgd" else 1.0
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        rate = recipe.backbone_lr if name.startswith("backbone.") else recipe.head_lr
        decays = parameter.ndim > 1
        key = (rate if decays else rate * bias_factor, recipe.weight_decay if decays else 0.0)
        groups.setdefault(key, []).append(parameter)
    parameters = [
        {"params": group, "lr": rate, "peak_lr": rate, "weight_decay": decay} for (rate, decay), group in groups.items()
    ]
    if recipe.optimizer == "sgd":
        return SGD(parameters, momentum=0.9)
    return AdamW(parameters)


def rate_factor(recipe: Recipe, share: float) -> float:
    """Learning rate over its peak when `share` (0..1) of the schedule is over: one-cycle cosine, or poly with power 0.9."""
    share = min(max(share, 0.0), 1.0)
    if recipe.optimizer == "sgd":
        return float((1.0 - share) ** 0.9)
    if share < WARM_UP:
        return 0.04 + 0.96 * (0.5 - 0.5 * math.cos(math.pi * share / WARM_UP))
    return 0.5 + 0.5 * math.cos(math.pi * (share - WARM_UP) / (1.0 - WARM_UP))


def set_learning_rate(optimizer: Optimizer, recipe: Recipe, share: float) -> None:
    """Set each group's rate for this share of the schedule."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * rate_factor(recipe, share)


@torch.no_grad()
def update_average(average: BR2Net, model: BR2Net, decay: float, updates: int) -> None:
    """Move the averaged weights and BatchNorm statistics towards those of `model`, in place.

    Args:
        average: a copy of the model that was made before training.
        model: network in training.
        decay: decay of the average; 0 keeps the latest weights.
        updates: number of updates, this one included. The first ones weigh more, so that the average forgets its start.
    """
    averaged, current = average.state_dict(), model.state_dict()
    weights = [name for name, value in averaged.items() if value.is_floating_point()]
    move = get_ema_multi_avg_fn(min(decay, updates / (updates + 10)))  # type: ignore[no-untyped-call]
    move([averaged[name] for name in weights], [current[name] for name in weights], updates)
    for name in averaged.keys() - set(weights):
        averaged[name].copy_(current[name])
