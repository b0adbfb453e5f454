"""Frames of exactly a network's input size, of which requests give the network's own maps, and the input that NumPy makes."""

from collections.abc import Sequence

import numpy as np

from br2net.runtime.backend import Backend, detect
from br2net.runtime.metadata import IMAGENET, Normalisation
from br2net.types import Batch, Frame


def noise_frames(count: int, height: int = 32, width: int = 64, seed: int = 8) -> list[Frame]:
    """Random frames, uint8 `(height, width, 3)` BGR."""
    return list(np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8))


def network_input(frames: Sequence[Frame], normalisation: Normalisation = IMAGENET) -> Batch:
    """What a network of the frames' size is given, float32 `(N, 3, h, w)`."""
    rgb = np.stack(frames)[..., ::-1].astype(np.float64) / 255.0
    return ((rgb - normalisation.mean) / normalisation.std).transpose(0, 3, 1, 2).astype(np.float32)


def maps_of(backend: Backend, frames: Sequence[Frame]) -> Batch:
    """The maps of frames of one size by a backend, float32 `(N, 1, h, w)`."""
    return np.stack([outputs.map[None] for outputs in detect(backend, frames) if outputs.map is not None])
