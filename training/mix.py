"""A mix of data sets: which folders, with what sampling weights, and what is held out of each.

A mix is a JSON file with one entry per set. `mixes/extra.json` of this package is an example.
"""

import csv
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from br2net.datasets.pairs import Pair, find_pairs, read_split
from br2net.errors import DatasetError


@dataclass(frozen=True)
class MixEntry:
    """One set of a mix. Folders and lists of the set are relative to the data folder.

    Attributes:
        name: name of the set in logs.
        folder: with `images/` and `masks/`.
        held_out: list of the photographs held out of training, relative to the mix file.
        weight: share of the training samples; the weights of a mix need not sum to 1.
        score_weight: weight of the set's MAE in the score that checkpoints are chosen by.
        split: list of the photographs to use; None for all.
        exclude: list of photographs to leave out.
        unknown: 8-bit mask value that means "not known".
        ground: folder of masks (255 = in-focus ground), or a `feet.csv` with shoe boxes; None if no ground is marked.
        ground_score_weight: weight of the MAE on ground pixels in the score.
    """

    name: str
    folder: str
    held_out: str
    weight: float
    score_weight: float
    split: str | None = None
    exclude: str | None = None
    unknown: int | None = None
    ground: str | None = None
    ground_score_weight: float = 0.0


@dataclass(frozen=True)
class MixPairs:
    """The photographs of one set: those to train on and those held out."""

    entry: MixEntry
    training: list[Pair]
    held_out: list[Pair]


def read_mix(path: Path) -> list[MixEntry]:
    """Read a mix file.

    Raises:
        DatasetError: if the file cannot be read, or an entry has unknown, missing or impossible fields.
    """
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["sets"]
        mix = [MixEntry(**entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        known = ", ".join(item.name for item in fields(MixEntry))
        raise DatasetError(
            f'Cannot read the mix {path}: {error}. It must be JSON: {{"sets": [..]}}, with fields {known}.'
        ) from error
    if not mix or any(min(entry.weight, entry.score_weight, entry.ground_score_weight) < 0.0 for entry in mix):
        raise DatasetError(f"{path} must name at least one set, with weights of 0 or more.")
    if not sum(entry.weight for entry in mix) or not sum(entry.score_weight for entry in mix):
        raise DatasetError(f"The weights and the score weights in {path} must not all be 0.")
    return mix


def find_mix(root: Path, path: Path) -> list[MixPairs]:
    """Find the photographs of every set of the mix file `path` below the data folder `root`.

    Raises:
        DatasetError: as `read_mix` and `find_pairs`, or if a held-out list names a photograph that its set lacks.
    """
    return [_find_entry(root, path.parent, entry) for entry in read_mix(path)]


def _find_entry(root: Path, lists: Path, entry: MixEntry) -> MixPairs:
    split = root / entry.split if entry.split else None
    pairs = find_pairs(root / entry.folder, split, unknown=entry.unknown)
    if entry.exclude:
        excluded = set(read_split(root / entry.exclude))
        pairs = [pair for pair in pairs if pair.name not in excluded]
    names = set(read_split(lists / entry.held_out))
    if unknown := sorted(names - {pair.name for pair in pairs}):
        raise DatasetError(f"{entry.held_out} names {unknown[0]}, which the set {entry.name} does not hold.")
    held_out = [pair for pair in pairs if pair.name in names]
    training = [pair for pair in pairs if pair.name not in names]
    if not training or not held_out:
        raise DatasetError(f"The set {entry.name} must have photographs to train on and photographs held out.")
    return MixPairs(entry, training, held_out)


class GroundReader:
    """Reads where the in-focus ground of a photograph lies.

    From a folder of masks, ground is where they are 255. From a `feet.csv`, it is what the focus mask has in focus from
    the lower shoe's top edge to the bottom of the photograph, without the shoes.
    """

    def __init__(self, source: Path) -> None:
        self._source = source
        self._shoes = _read_shoes(source) if source.suffix == ".csv" else None

    def read(self, name: str, mask: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Read the ground of photograph `name`: `(H, W)` bool; `mask` is its focus mask, NaN = unknown.

        Raises:
            DatasetError: if the source holds nothing for this photograph.
        """
        if self._shoes is not None:
            return _ground_at_shoes(self._shoes.get(name, ()), mask)
        ground = cv2.imread(str(self._source / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
        if ground is None or ground.shape != mask.shape:
            raise DatasetError(f"{self._source} must hold a mask {name}.png of {mask.shape[1]}x{mask.shape[0]}.")
        return np.asarray((ground == 255) & (mask == 0.0))


Box = tuple[int, int, int, int]


def _ground_at_shoes(shoes: tuple[Box, ...], mask: NDArray[np.float32]) -> NDArray[np.bool_]:
    ground = np.zeros(mask.shape, np.bool_)
    if not shoes:
        return ground
    first_row = max(top for _, top, _, _ in shoes)
    ground[first_row:] = mask[first_row:] == 0.0
    for left, top, width, height in shoes:
        ground[top : top + height, left : left + width] = False
    return ground


def _read_shoes(path: Path) -> dict[str, tuple[Box, ...]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["id"]: _boxes(row["foot_boxes_xywh"]) for row in csv.DictReader(file)}
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(f"{path} must be a table with the columns id and foot_boxes_xywh: {error}.") from error


def _boxes(text: str) -> tuple[Box, ...]:
    boxes = []
    for item in filter(None, text.split(";")):
        left, top, width, height = (int(value) for value in item.split(","))
        boxes.append((left, top, width, height))
    return tuple(boxes)
