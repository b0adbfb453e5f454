"""A small data set on disk: textured photographs, one half of each out of focus."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "dataset")


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    """A mix of two sets of 12; in the second, columns 40 to 56 are unknown and the lower in-focus part is ground."""
    root = tmp_path / "data"
    make_dataset(root / "known")
    partly = make_dataset(root / "partly")
    (partly / "ground").mkdir()
    for path in sorted((partly / "masks").iterdir()):
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert mask is not None
        ground = np.where(mask == 0, 255, 0).astype(np.uint8)
        ground[:50] = 0
        mask[:, 40:56] = 128
        cv2.imwrite(str(path), mask)
        cv2.imwrite(str(partly / "ground" / path.name), ground)
    (root / "held_out.txt").write_text("p03\n")
    known = {"name": "known", "folder": "known", "held_out": "held_out.txt", "weight": 3, "score_weight": 2}
    other = {"name": "partly", "folder": "partly", "held_out": "held_out.txt", "weight": 1, "score_weight": 1}
    other |= {"unknown": 128, "ground": "partly/ground", "ground_score_weight": 1}
    (root / "mix.json").write_text(json.dumps({"sets": [known, other]}))
    return root / "mix.json"


def make_dataset(folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rng = np.random.default_rng(0)
    for index in range(12):
        image = rng.integers(0, 256, (72, 96, 3), dtype=np.uint8)
        mask = np.zeros((72, 96), np.uint8)
        columns = slice(0, 48) if index % 2 else slice(48, 96)
        mask[:, columns] = 255
        image[:, columns] = cv2.GaussianBlur(image, (0, 0), 4)[:, columns]
        cv2.imwrite(str(folder / "images" / f"p{index:02d}.png"), image)
        cv2.imwrite(str(folder / "masks" / f"p{index:02d}.png"), mask)
    return folder
