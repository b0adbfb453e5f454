"""Choosing the weights of a mean fusion on held-out photographs, once training is over.

Cross-entropy on eleven maps leaves the fused one hesitant: values of 0.8 where 0.95 is right. Larger weights than one half
make it as decisive as the held-out photographs bear out, at no cost.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from br2net.network import BR2Net, Checkpoint
from br2net.network.resampling import resize
from br2net.runtime.metadata import Normalisation
from br2net.runtime.preprocessing import preprocess
from br2net.training.data import Sample

SCALES = (1.0, 1.5, 2.0, 2.5, 3.0)  # of the sum of both weights; beyond three the map is all but a mask
SHARES = (1 / 2, 2 / 3, 3 / 4, 1 / 3)  # of the L2H pathway in it


def choose_fusion_weights(checkpoint: Checkpoint, samples: list[Sample], normalisation: Normalisation) -> Checkpoint:
    """The same network with the fusion weights of the smallest mean absolute error on `samples`.

    A network of one pathway, or of another fusion, is given back as it is.
    """
    config = checkpoint.model.config
    if config.pathways != "both" or config.fusion != "mean" or not samples:
        return checkpoint
    size = (checkpoint.facts.height, checkpoint.facts.width)
    errors = np.mean([_errors(checkpoint.model, sample, size, normalisation) for sample in samples], axis=0)
    weights = _candidates()[int(np.argmin(errors))]
    model = BR2Net(replace(config, fusion_weights=weights))
    model.load_state_dict(checkpoint.model.state_dict())
    return replace(checkpoint, model=model.eval())


def _candidates() -> list[tuple[float, float]]:
    return [(round(scale * share, 3), round(scale * (1 - share), 3)) for scale in SCALES for share in SHARES]


def _errors(model: BR2Net, sample: Sample, size: tuple[int, int], normalisation: Normalisation) -> list[float]:
    """Mean absolute error of each candidate on one photograph, at the mask's own size."""
    height, width = size
    image = torch.from_numpy(preprocess([sample.image], width, height, normalisation))
    mask = torch.from_numpy(sample.mask)
    with torch.inference_mode():
        steps = model.predict(image.to(next(model.parameters()).device)).steps
        count = len(steps) // 2
        l2h, h2l = (resize(step.cpu(), size) for step in (steps[count - 1], steps[-1]))
        return [_error(first * l2h + second * h2l, mask) for first, second in _candidates()]


def _error(logits: Tensor, mask: Tensor) -> float:
    predicted = resize(torch.sigmoid(logits), (mask.shape[0], mask.shape[1]))[0, 0]
    return float((predicted - mask).abs().mean())
