"""Training sets in memory, the held-out part of each, and batches made in a separate thread."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from br2net.datasets.pairs import Pair, find_pairs, read_pair
from br2net.errors import DatasetError
from br2net.runtime.images import list_images, read_image
from br2net.runtime.metadata import Normalisation
from br2net.runtime.preprocessing import preprocess
from br2net.training.augment import compose, defocus, geometry, in_focus_box, photometry
from br2net.training.mix import GroundReader, find_mix
from br2net.training.recipe import Augmentation
from br2net.types import Frame, Map


@dataclass(frozen=True)
class Sample:
    """A photograph and what is known of it.

    Attributes:
        image: `(H, W, 3)` uint8 BGR.
        mask: `(H, W)` float32, 0..1, 1 = blurred, NaN = unknown.
        name: name of the photograph in its set.
        ground: `(H, W)` bool, in-focus ground; None where the set marks none.
    """

    image: Frame
    mask: Map
    name: str
    ground: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class TrainingSet:
    """Photographs to train on, and the share of all samples that is drawn from them.

    The shares of several sets need not sum to 1.
    """

    name: str
    samples: list[Sample]
    weight: float = 1.0


@dataclass(frozen=True)
class HeldOutSet:
    """Photographs held out of training, and the weights of their errors in the score of a checkpoint."""

    name: str
    samples: list[Sample]
    score_weight: float = 1.0
    ground_score_weight: float = 0.0


@dataclass(frozen=True)
class Batch:
    """A batch of augmented samples.

    Attributes:
        image: `(N, 3, size, size)` float32, normalised RGB.
        mask: `(N, 1, size, size)` float32, 0..1, 1 = blurred, NaN = unknown.
    """

    image: NDArray[np.float32]
    mask: NDArray[np.float32]


def held_out_names() -> frozenset[str]:
    """Names of the photographs of Shi's train set that are held out of training, to choose checkpoints by."""
    text = resources.files("br2net.training").joinpath("held_out.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def split_pairs(dataset: Path, split: Path | None, invert_masks: bool) -> tuple[list[Pair], list[Pair]]:
    """Divide a data set into the part to train on and the part held out of it.

    Of Shi's set, the fixed list of the package is held out; of another, each tenth photograph.

    Raises:
        DatasetError: if fewer than two photographs are there.
    """
    pairs = find_pairs(dataset, split, invert_masks)
    names = held_out_names()
    held_out = [pair for pair in pairs if pair.name in names] or pairs[::10]
    chosen = {pair.name for pair in held_out}
    training = [pair for pair in pairs if pair.name not in chosen]
    if not training:
        raise DatasetError(f"{dataset} has {len(pairs)} photograph(s); training needs at least two.")
    return training, held_out


def load_samples(pairs: list[Pair], ground: GroundReader | None = None) -> list[Sample]:
    """Read photographs and masks into memory (about 1 GB for Shi's 604)."""
    samples = []
    for pair in pairs:
        image, mask = read_pair(pair)
        samples.append(Sample(image, mask, pair.name, ground.read(pair.name, mask) if ground else None))
    return samples


def load_mix(root: Path, mix: Path) -> tuple[list[TrainingSet], list[HeldOutSet]]:
    """Read every set of a mix file into memory, for training and held out.

    Raises:
        ImageError: if a photograph cannot be read.
        DatasetError: for the reasons of `find_mix`, or if a mask cannot be read.
    """
    training, held_out = [], []
    for pairs in find_mix(root, mix):
        entry = pairs.entry
        ground = GroundReader(root / entry.ground) if entry.ground else None
        training.append(TrainingSet(entry.name, load_samples(pairs.training), entry.weight))
        samples = load_samples(pairs.held_out, ground)
        held_out.append(HeldOutSet(entry.name, samples, entry.score_weight, entry.ground_score_weight))
    return training, held_out


def load_sharp(folder: Path) -> list[Sample]:
    """Read photographs that are in focus everywhere, as material for synthetic defocus."""
    images = [read_image(path) for path in list_images([folder])]
    return [Sample(image, np.zeros(image.shape[:2], np.float32), "sharp") for image in images]


class BatchMaker:
    """Draws augmented batches. The set of a sample is drawn by weight.

    Each photograph of a set is used once before any of them is used again.
    """

    def __init__(
        self,
        sets: list[TrainingSet],
        sharp: list[Sample],
        settings: Augmentation,
        normalisation: Normalisation,
        seed: int,
    ) -> None:
        self._sets = sets
        self._shares = np.array([item.weight for item in sets]) / sum(item.weight for item in sets)
        self._sharp = sharp
        self._settings = settings
        self._normalisation = normalisation
        self._rng = np.random.default_rng(seed)
        self._orders: list[list[int]] = [[] for _ in sets]

    def make(self, count: int, size: int) -> Batch:
        """Draw `count` samples of `size` by `size` pixels."""
        drawn = [self._draw(size) for _ in range(count)]
        images = preprocess([image for image, _ in drawn], size, size, self._normalisation, threads=1)
        return Batch(images, np.stack([mask for _, mask in drawn])[:, None])

    def _draw(self, size: int) -> tuple[Frame, Map]:
        sample, settings = self._next(), self._settings
        synthetic = self._rng.random() < settings.synthetic_probability
        image, mask = self._synthetic(sample, size) if synthetic else self._varied(sample, size)
        return photometry(image, settings, self._rng), mask

    def _next(self) -> Sample:
        drawn = self._draw_set()
        samples, order = self._sets[drawn].samples, self._orders[drawn]
        if not order:
            order.extend(self._rng.permutation(len(samples)))
        return samples[order.pop()]

    def _draw_set(self) -> int:
        return int(self._rng.choice(len(self._sets), p=self._shares)) if len(self._sets) > 1 else 0

    def _varied(self, sample: Sample, size: int) -> tuple[Frame, Map]:
        return geometry(sample.image, sample.mask, size, self._settings, self._rng)

    def _another(self) -> Sample:
        samples = self._sets[self._draw_set()].samples
        return samples[int(self._rng.integers(len(samples)))]

    def _synthetic(self, sample: Sample, size: int) -> tuple[Frame, Map]:
        """In-focus material, sharp everywhere, blurred everywhere, or with one layer blurred."""
        rng = self._rng
        if self._sharp and rng.random() < 0.5:
            source = self._sharp[int(rng.integers(len(self._sharp)))]
        else:
            box = in_focus_box(sample.mask, rng)
            if box is None:
                return self._varied(sample, size)
            source = Sample(box.of(sample.image), box.of(sample.mask), sample.name)
        image, mask = self._varied(source, size)
        kind = rng.random()
        radius = float(rng.uniform(2.0, 8.0)) * size / 320
        if kind < 0.4:
            return image, mask
        if kind < 0.55:
            return defocus(image, radius), np.ones_like(mask)
        _, shape = self._varied(self._another(), size)
        return compose(image, shape, radius, foreground=bool(rng.random() < 0.4))


@contextmanager
def prefetched(maker: BatchMaker, wanted: Iterator[tuple[int, int]], depth: int = 3) -> Iterator[Iterator[Batch]]:
    """Make batches in a thread while the network trains; `wanted` gives the count and size of each.

    An error in the thread is raised where the batch is taken. The thread ends with the block.
    """
    with ThreadPoolExecutor(1, "batches") as pool:
        ready = deque(pool.submit(maker.make, count, size) for count, size in islice(wanted, depth))

        def batches() -> Iterator[Batch]:
            while ready:
                batch = ready.popleft().result()
                ready.extend(pool.submit(maker.make, count, size) for count, size in islice(wanted, 1))
                yield batch

        try:
            yield batches()
        finally:
            pool.shutdown(cancel_futures=True)
