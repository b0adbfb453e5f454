"""Choosing a checkpoint's fusion on held-out photographs: the weights of a mean, and whether a filter follows.

Cross-entropy on eleven maps leaves the fused one hesitant, values of 0.8 where 0.95 is right, and the last map of a pathway
is not its best one: on photographs that training has not seen the sum of several steps errs less. So the ten maps' weights
are fitted to the held-out photographs by their mean absolute error. It costs nothing when running; less where the last steps
of a pathway weigh nothing. A guided filter (see `network.guided_filter`) has no weights to train; the network gets it if the
same photographs say so.
"""

from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from br2net.network import BR2Net, Checkpoint
from br2net.network.guided_filter import GuidedFilter
from br2net.network.resampling import resize
from br2net.runtime.metadata import Normalisation
from br2net.runtime.preprocessing import preprocess
from br2net.training.data import HeldOutSet
from br2net.training.losses import pool_known, split_unknown
from br2net.training.validation import score_weights

GUIDED_RADIUS = 4
ITERATIONS = 200
LEARNING_RATE = 0.05
LARGEST_SUM = 12.0  # of all weights: beyond it the map is a mask, whose values say nothing any more
SMALLEST = 0.15  # a smaller weight is left out
LARGEST_LOGIT = 30.0


@dataclass(frozen=True)
class _Seen:
    """What a network makes of the held-out photographs, at a quarter of the input size, float32.

    Attributes:
        logits: `(photographs, 10, h, w)`, of every step.
        guides: `(photographs, 3, h, w)`, the photographs.
        masks: `(photographs, h, w)`.
        weights: `(photographs, h, w)`, of each pixel's error in the score; they sum to 1.
    """

    logits: Tensor
    guides: Tensor
    masks: Tensor
    weights: Tensor

    def error(self, fused: Tensor) -> Tensor:
        """Score of fused logits `(photographs, 1, h, w)`."""
        return ((torch.sigmoid(fused[:, 0]) - self.masks).abs() * self.weights).sum()


def choose_fusion(checkpoint: Checkpoint, sets: list[HeldOutSet], normalisation: Normalisation) -> Checkpoint:
    """Give the same network the fusion of the smallest score on the held-out `sets` (see `validation`).

    Its ten fusion weights, not negative, are fitted; then a guided filter is added if that helps further. (Fitting them with
    the filter behind them does worse on photographs that they are not fitted to.) A network of one pathway, or of another
    fusion, is given back as it is; so is one whose error would not fall.
    """
    config = checkpoint.model.config
    if config.pathways != "both" or config.fusion != "mean" or not sets:
        return checkpoint
    seen = _look(checkpoint, sets, normalisation)
    present = torch.tensor([weight for pathway in config.step_weights() for weight in pathway])
    fitted = _fit(seen, present)
    candidates = [(present, config.guided_radius), *product((present, fitted), (0, GUIDED_RADIUS))]
    errors = [_error_of(seen, *candidate) for candidate in candidates]
    if errors[0] == min(errors):
        return checkpoint
    weights, radius = candidates[errors.index(min(errors))]
    chosen = tuple(round(float(weight), 3) for weight in weights)
    model = BR2Net(replace(config, fusion_weights=chosen, guided_radius=radius))
    model.load_state_dict(checkpoint.model.state_dict())
    return replace(checkpoint, model=model.eval().to(next(checkpoint.model.parameters()).device))


def _fit(seen: _Seen, start: Tensor) -> Tensor:
    """Fit the weights of the maps; start and result: `(maps,)`."""
    weights = (start + 0.1).requires_grad_()
    optimizer = torch.optim.Adam([weights], LEARNING_RATE)
    for _ in range(ITERATIONS):
        optimizer.zero_grad()
        seen.error(_weighted(seen.logits, weights)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            weights.clamp_(min=0.0)
            weights.mul_(LARGEST_SUM / max(float(weights.sum()), LARGEST_SUM))
    chosen = weights.detach()
    return torch.where(chosen < SMALLEST, 0.0, chosen)


def _weighted(logits: Tensor, weights: Tensor) -> Tensor:
    return (logits * weights.view(1, -1, 1, 1)).sum(dim=1, keepdim=True)


def _error_of(seen: _Seen, weights: Tensor, radius: int) -> float:
    fused = _weighted(seen.logits, weights)
    if radius:
        fused = GuidedFilter(radius)(fused, seen.guides, seen.guides)
    return float(seen.error(fused))


def _look(checkpoint: Checkpoint, sets: list[HeldOutSet], normalisation: Normalisation) -> _Seen:
    height, width = checkpoint.facts.height, checkpoint.facts.width
    device = next(checkpoint.model.parameters()).device
    logits, guides, masks, weights = [], [], [], []
    samples = [sample for item in sets for sample in item.samples]
    for sample, pixels in zip(samples, score_weights(sets), strict=True):
        image = torch.from_numpy(preprocess([sample.image], width, height, normalisation))
        guide = GuidedFilter.guide(image)
        small = (guide.shape[-2], guide.shape[-1])
        with torch.inference_mode():
            steps = checkpoint.model.predict(image.to(device)).steps
        maps = torch.cat([resize(step.float().cpu(), small) for step in steps], dim=1)
        logits.append(maps.clamp(-LARGEST_LOGIT, LARGEST_LOGIT).clone())
        guides.append(guide)
        known, validity = split_unknown(torch.from_numpy(sample.mask)[None, None])
        masks.append(pool_known(known, validity, small)[0][0])
        pooled = adaptive_avg_pool2d(torch.from_numpy(pixels)[None], small)
        weights.append(pooled * (float(pixels.sum()) / pooled.sum()))
    return _Seen(torch.cat(logits), torch.cat(guides), torch.cat(masks), torch.cat(weights))
