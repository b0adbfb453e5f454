"""A small data set on disk: textured photographs, one half of each out of focus."""

from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
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
