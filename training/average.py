"""EMA: an exponential moving average of a network's weights, which is what is kept in the end."""

import copy

import torch

from br2net.network import BR2Net


class WeightAverage:
    """Holds the averaged copy of a network; with `decay` 0 it is simply the latest weights."""

    def __init__(self, model: BR2Net, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay
        self._updates = 0

    def update(self, model: BR2Net) -> None:
        """Move the average towards `model`; the first updates weigh more, so that it forgets its start."""
        self._updates += 1
        decay = min(self._decay, self._updates / (self._updates + 10))
        with torch.no_grad():
            current = model.state_dict()
            for name, value in self.model.state_dict().items():
                if value.dtype.is_floating_point:
                    value.lerp_(current[name].to(value.dtype), 1.0 - decay)
                else:
                    value.copy_(current[name])
