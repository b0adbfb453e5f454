from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

FolderMaker = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> FolderMaker:
    """Makes a folder of images of the brightnesses given (1..255)."""

    def make(*levels: int, name: str = "images", size: tuple[int, int] = (96, 64)) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for index, level in enumerate(levels):
            cv2.imwrite(str(folder / f"{index:04d}.png"), np.full((size[1], size[0], 3), level, np.uint8))
        return folder

    return make
