"""Images for bulk runs, and the rows that come of them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="the extra bulk is not installed")
import pyarrow.parquet as pq

from br2net.bulk import ModelChoice


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of five images of different sizes, one of them in a folder inside."""
    folder = tmp_path / "pictures"
    (folder / "inside").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(5):
        pixels = rng.integers(0, 256, (40 + 8 * number, 64, 3), dtype=np.uint8)
        name = "inside/4.png" if number == 4 else f"{number}.png"
        cv2.imwrite(str(folder / name), cv2.GaussianBlur(pixels, (0, 0), 0.5 + number))
    return folder


@pytest.fixture
def choice(tiny_onnx: Path) -> ModelChoice:
    """The tiny model, in one precision everywhere."""
    return ModelChoice(str(tiny_onnx), precision="fp32", threads=1)


def rows_of(output: Path) -> list[dict[str, Any]]:
    """All rows under an output folder, by image and index, as any reader of Parquet sees them."""
    rows = pq.read_table(output / "rows").to_pylist()
    return sorted(rows, key=lambda row: (row["image"], row["index"] or 0))
