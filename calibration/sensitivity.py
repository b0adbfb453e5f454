"""Which layers hurt (each alone INT8, each alone kept in float32), and which few to keep so that the gate holds."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from br2net.calibration.gate import maps_of, sqnr_db
from br2net.calibration.layers import Layer
from br2net.calibration.quantiser import Quantiser
from br2net.types import Frame, Map

By = Literal["layer", "block"]
Nodes = frozenset[str]


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
    frames: Sequence[Frame],
    on_group: Callable[[int, int], None] | None = None,
) -> tuple[Sensitivity, ...]:
    """Measure every group of layers, also those that stay float32: whether they should is to be seen.

    Args:
        quantiser: of the model.
        kept: nodes that stay float32.
        by: a layer or a block at a time.
        frames: a few images, uint8 `(h, w, 3)` BGR of the network's input size.
        on_group: called with how many groups are done, of how many.
    """
    model = quantiser.model
    every = frozenset(layer.node for layer in model.layers)
    groups = groups_of(model.layers, by)
    references = maps_of(model.proto, frames)

    def drift(stay: Collection[str]) -> Drift:
        return drift_of(maps_of(quantiser.int8(stay), frames), references)

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


def keep_least(
    sensitivities: Sequence[Sensitivity], kept: Collection[str], holds: Callable[[Nodes], bool]
) -> Nodes | None:
    """The nodes to keep, or None where `holds` is not true even with all but one group kept.

    Groups are taken by noise per multiply-accumulate, most first, until `holds`; how many is found by doubling and
    halving. Then each taken one is given back, the costliest first, where `holds` without it.

    Args:
        sensitivities: sensitivity of each group; those that stay float32 anyway are no choice.
        kept: nodes that are kept whatever happens.
        holds: True if the gate holds with these nodes kept. It is asked about twice the logarithm of their number and
            once for each that is taken.
    """
    changeable = (item for item in sensitivities if not item.stays)
    order = sorted(changeable, key=lambda item: item.noise / max(item.group.macs, 1), reverse=True)

    def nodes(groups: Sequence[Sensitivity]) -> Nodes:
        return frozenset(kept).union(*(item.group.nodes for item in groups))

    if holds(nodes([])):
        return nodes([])
    most = len(order) - 1  # something has to be INT8
    failing, count = 0, min(1, most)
    while not (count > 0 and holds(nodes(order[:count]))):
        if count >= most:
            return None
        failing, count = count, min(2 * count, most)
    while count - failing > 1:
        middle = (failing + count) // 2
        if holds(nodes(order[:middle])):
            count = middle
        else:
            failing = middle
    taken = list(order[:count])
    for item in sorted(taken[:-1], key=lambda item: item.group.macs, reverse=True):  # without the last it did not hold
        without = [other for other in taken if other is not item]
        if holds(nodes(without)):
            taken = without
    return nodes(taken)
