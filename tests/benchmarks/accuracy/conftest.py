"""A data set of three photographs, and a backend whose map is known."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from br2net.runtime.backend import Backend, HostRequest
from br2net.runtime.metadata import SYMMETRIC, ModelMetadata
from br2net.types import Batch


class RedIsBlur(Backend):
    """Calls a pixel blurred as much as it is red, so that a photograph can say what its map will be."""

    name = "red"
    device = "CPU"
    precision = "fp32"

    def __init__(self) -> None:
        super().__init__()
        self.width = self.height = 64
        self.metadata = ModelMetadata("red", "{}", "none", 64, 64, SYMMETRIC)

    def _new_request(self, batch: int) -> HostRequest:
        return HostRequest(self, batch, _red)


def _red(batch: Batch) -> Batch:
    return np.asarray(np.clip((batch[:, :1] + 1.0) / 2.0, 0.0, 1.0), dtype=np.float32)


@pytest.fixture
def red_is_blur() -> RedIsBlur:
    return RedIsBlur()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Photographs whose right half is red; their masks agree with that fully, in half of it, and not at all."""
    folder = tmp_path / "halves"
    for name, masked_from in (("all", 32), ("half", 48), ("none", 64)):
        frame = np.zeros((64, 64, 3), np.uint8)
        frame[:, 32:, 2] = 255
        mask = np.zeros((64, 64), np.uint8)
        mask[:, masked_from:] = 255
        for kind, pixels in (("images", frame), ("masks", mask)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(folder / kind / f"{name}.png"), pixels)
    return folder
