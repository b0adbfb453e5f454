"""Choosing the weights of a mean fusion on held-out photographs, once training is over.

Cross-entropy on eleven maps leaves the fused one hesitant, values of 0.8 where 0.95 is right, and the last map of a pathway
is not its best one: on photographs that training has not seen the sum of several steps errs less. So the ten maps' weights
are fitted to the held-out photographs by their mean absolute error. It costs nothing when running; less where the last steps
of a pathway weigh nothing.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from br2net.network import BR2Net, Checkpoint
from br2net.network.resampling import Size, resize
from br2net.runtime.metadata import Normalisation
from br2net.runtime.preprocessing import preprocess
from br2net.training.data import Sample

ITERATIONS = 200
LEARNING_RATE = 0.05
LARGEST_SUM = 12.0  # of all weights: beyond it the map is a mask, whose values say nothing any more
SMALLEST = 0.15  # a smaller weight is left out
SHRINK = 4  # logits and masks are compared at this part of the input size
LARGEST_LOGIT = 30.0


def choose_fusion_weights(checkpoint: Checkpoint, samples: list[Sample], normalisation: Normalisation) -> Checkpoint:
    """The same network with ten fusion weights, not negative, fitted to the mean absolute error on `samples`.

    A network of one pathway, or of another fusion, is given back as it is; so is one whose error would not fall.
    """
    config = checkpoint.model.config
    if config.pathways != "both" or config.fusion != "mean" or not samples:
        return checkpoint
    size = (checkpoint.facts.height, checkpoint.facts.width)
    pairs = [_step_logits(checkpoint.model, sample, size, normalisation) for sample in samples]
    logits, masks = torch.stack([pair[0] for pair in pairs]), torch.stack([pair[1] for pair in pairs])
    present = torch.tensor([weight for pathway in config.step_weights() for weight in pathway])
    weights = _fit(logits, masks, present)
    if _error(logits, masks, weights) >= _error(logits, masks, present):
        return checkpoint
    model = BR2Net(replace(config, fusion_weights=tuple(round(float(weight), 3) for weight in weights)))
    model.load_state_dict(checkpoint.model.state_dict())
    return replace(checkpoint, model=model.eval())


def _fit(logits: Tensor, masks: Tensor, start: Tensor) -> Tensor:
    """logits: `(photographs, maps, h, w)`; masks: `(photographs, h, w)`; start and result: `(maps,)`."""
    weights = (start + 0.1).requires_grad_()
    optimizer = torch.optim.Adam([weights], LEARNING_RATE)
    for _ in range(ITERATIONS):
        optimizer.zero_grad()
        _error(logits, masks, weights).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            weights.clamp_(min=0.0)
            weights.mul_(min(1.0, LARGEST_SUM / float(weights.sum())))
    chosen = weights.detach()
    return torch.where(chosen < SMALLEST, 0.0, chosen)


def _error(logits: Tensor, masks: Tensor, weights: Tensor) -> Tensor:
    fused = (logits * weights.view(1, -1, 1, 1)).sum(dim=1)
    return (torch.sigmoid(fused) - masks).abs().mean()


def _step_logits(model: BR2Net, sample: Sample, size: Size, normalisation: Normalisation) -> tuple[Tensor, Tensor]:
    """Logits of every step `(10, h, w)` and the mask `(h, w)` of one photograph, at `size / SHRINK`."""
    height, width = size
    small = (height // SHRINK, width // SHRINK)
    image = torch.from_numpy(preprocess([sample.image], width, height, normalisation))
    with torch.inference_mode():
        steps = model.predict(image.to(next(model.parameters()).device)).steps
    logits = torch.cat([resize(step.float().cpu(), small) for step in steps], dim=1)[0]
    mask = adaptive_avg_pool2d(torch.from_numpy(sample.mask)[None], small)[0]
    return logits.clamp(-LARGEST_LOGIT, LARGEST_LOGIT).clone(), mask
