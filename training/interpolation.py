"""Interpolating between a network and what further training made of it.

Both are good in different ways, and their weights' average is often better than either and holds up better on other
photographs (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022). It costs nothing when running.
"""

import copy

import torch

from br2net.network import BR2Net
from br2net.runtime.metadata import Normalisation
from br2net.training.data import HeldOutSet
from br2net.training.validation import check_held_out

SHARES = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0)  # of the further trained network


def interpolate(start: BR2Net, end: BR2Net, share: float) -> BR2Net:
    """A copy of `end` with weights `(1 - share) * start + share * end`; both are of one configuration."""
    model = copy.deepcopy(end)
    first = start.state_dict()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                value.copy_(torch.lerp(first[name].to(value.device, value.dtype), value, share))
    return model


def choose_interpolation(
    start: BR2Net, end: BR2Net, sets: list[HeldOutSet], size: int, normalisation: Normalisation
) -> tuple[BR2Net, float]:
    """Choose the interpolated network of the smallest score on the held-out `sets`; also give its share of `end`."""
    candidates = [(interpolate(start, end, share), share) for share in SHARES]
    return min(candidates, key=lambda candidate: check_held_out(candidate[0], sets, size, normalisation).score)
