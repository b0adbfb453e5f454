"""`br2net train`, as far as no training is needed: what it refuses."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from .conftest import Command


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two photographs, blurred everywhere."""
    folder = tmp_path / "dataset"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
        for name in ("a", "b"):
            cv2.imwrite(str(folder / part / f"{name}.png"), np.full((64, 96), 255, np.uint8))
    return folder


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--recipe", "resnet"), "There is no recipe resnet; there are paper, mobile, mobile-mix."),
        (("--recipe", "ablation"), "There is no recipe ablation; there are paper, mobile, mobile-mix."),
        (("--positive", "motion"), "--positive is blurred or sharp, not motion."),
        (("--start", "absent.pth"), "absent.pth"),
        (("--epochs", "0"), "--epochs starts at 1; 0 would train nothing."),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_sentence(
    br2net: Command, dataset: Path, tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    ending = br2net("train", dataset, "-o", tmp_path / "run", *options)
    assert ending.code == 2
    assert reason in ending.err and ending.err.count("\n") == 1
    assert not (tmp_path / "run").exists()
