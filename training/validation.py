"""The held-out check: what checkpoints are chosen by."""

from dataclasses import dataclass

import numpy as np
import torch

from br2net.network import BR2Net
from br2net.runtime.metadata import Normalisation
from br2net.runtime.postprocessing import resize_map
from br2net.runtime.preprocessing import preprocess
from br2net.training.data import Sample


@dataclass(frozen=True)
class HeldOutFigures:
    """MAE and IoU of the blurred class at 0.5, at the masks' own size, averaged over the held-out photographs."""

    mae: float
    iou: float


def check_held_out(model: BR2Net, samples: list[Sample], size: int, normalisation: Normalisation) -> HeldOutFigures:
    """Run `model` on whole photographs resized to `size` by `size`, as inference does."""
    errors, overlaps = [], []
    device = next(model.parameters()).device
    for sample in samples:
        batch = torch.from_numpy(preprocess([sample.image], size, size, normalisation)).to(device)
        with torch.inference_mode():
            blur = model(batch)[0, 0].float().cpu().numpy()
        height, width = sample.mask.shape
        predicted = resize_map(blur, width, height)
        errors.append(float(np.abs(predicted - sample.mask).mean()))
        overlaps.append(_iou(predicted >= 0.5, sample.mask >= 0.5))
    return HeldOutFigures(float(np.mean(errors)), float(np.mean(overlaps)))


def _iou(predicted: np.ndarray, wanted: np.ndarray) -> float:
    union = int(np.logical_or(predicted, wanted).sum())
    return int(np.logical_and(predicted, wanted).sum()) / union if union else 1.0
