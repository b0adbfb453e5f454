"""Which layers hurt: each alone INT8, and each alone kept in float32, seen in the blur map."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from br2net.calibration.inference import Batch, Map, maps_of, sqnr_db
from br2net.calibration.layers import Layer
from br2net.calibration.quantiser import Quantiser

By = Literal["layer", "block"]


@dataclass(frozen=True)
class Group:
    """Layers that are INT8 or kept together: one, or those of a block."""

    name: str
    kind: str
    nodes: tuple[str, ...]
    macs: int


@dataclass(frozen=True)
class Drift:
    """Of the maps from float32's: mean absolute difference 0..1, and signal to quantisation noise in decibel."""

    mae: float
    sqnr_db: float


@dataclass(frozen=True)
class Sensitivity:
    """A group of layers and what it does to the maps.

    Attributes:
        group: the layers.
        stays: whether all of it is float32 in the file.
        alone: the drift when only it is INT8.
        kept: the drift when it is float32 too, besides those that stay so.
        as_it_is: the drift before `--auto` chose any more to stay; the same for all groups.
    """

    group: Group
    stays: bool
    alone: Drift
    kept: Drift
    as_it_is: Drift

    @property
    def gain_db(self) -> float:
        """By how much the signal to noise ratio rises when it is float32 too, decibel."""
        return self.kept.sqnr_db - self.as_it_is.sqnr_db

    @property
    def noise(self) -> float:
        """Noise power over signal power when only it is INT8."""
        return float(10.0 ** (-self.alone.sqnr_db / 10.0))


def groups_of(layers: Iterable[Layer], by: By) -> tuple[Group, ...]:
    """Each layer, or each block, in the order of the graph."""
    if by == "layer":
        return tuple(Group(layer.label, layer.kind, (layer.node,), layer.macs) for layer in layers)
    blocks: dict[str, list[Layer]] = {}
    for layer in layers:
        blocks.setdefault(layer.block, []).append(layer)
    return tuple(
        Group(name, "block", tuple(layer.node for layer in own), sum(layer.macs for layer in own))
        for name, own in blocks.items()
    )


def measure_sensitivity(
    quantiser: Quantiser,
    kept: Collection[str],
    by: By,
    batches: Sequence[Batch],
    on_group: Callable[[int, int], None] | None = None,
) -> tuple[Sensitivity, ...]:
    """Measure every group of layers, also those that stay float32: whether they should is to be seen.

    Args:
        quantiser: of the model.
        kept: nodes that stay float32.
        by: a layer or a block at a time.
        batches: a few images, `(1, 3, h, w)` each.
        on_group: called with how many groups are done, of how many.
    """
    every = frozenset(layer.node for layer in quantiser.layers)
    groups = groups_of(quantiser.layers, by)
    references = maps_of(quantiser.float32(), batches)

    def drift(stay: Collection[str]) -> Drift:
        return drift_of(maps_of(quantiser.int8(stay), batches), references)

    as_it_is = drift(kept)
    found = []
    for index, group in enumerate(groups):
        own = frozenset(group.nodes)
        stays = own <= frozenset(kept)
        tried = own if stays else own.difference(kept)
        also_kept = as_it_is if stays else drift(own.union(kept))
        found.append(Sensitivity(group, stays, drift(every - tried), also_kept, as_it_is))
        if on_group is not None:
            on_group(index + 1, len(groups))
    return tuple(found)


def drift_of(maps: Sequence[Map], references: Sequence[Map]) -> Drift:
    """How far maps are from their references."""
    gaps = [np.abs(a.astype(np.float64) - b).mean() for a, b in zip(maps, references, strict=True)]
    return Drift(float(np.mean(gaps)), sqnr_db(maps, references))


def worst(sensitivities: Iterable[Sensitivity], count: int) -> list[Sensitivity]:
    """Those of the INT8 groups that bring most noise when INT8 alone, the worst first."""
    changeable = (item for item in sensitivities if not item.stays)
    return sorted(changeable, key=lambda item: item.noise, reverse=True)[:count]
