"""`br2net train`, as far as no training is needed: what it refuses, and the table of variants that are trained already."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from .conftest import Command

VARIANTS = ("full", "without-rlrm", "l2h-alone", "h2l-alone", "without-cam", "fusion-conv")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A run of the recipe ablation that has ended."""
    for index, variant in enumerate(VARIANTS):
        folder = tmp_path / "ablation" / variant
        folder.mkdir(parents=True)
        line = {"step": 544, "minutes": 9.0, "loss": 3.1, "share": 1.0, "mae": 0.1 + index / 100, "iou": 0.9}
        (folder / "log.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    return tmp_path / "ablation"


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
        (("--recipe", "resnet"), "There is no recipe resnet; there are paper, mobile"),
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


def test_variants_that_are_trained_are_not_trained_again_but_told(
    br2net: Command, dataset: Path, trained: Path
) -> None:
    ending = br2net("train", dataset, "--recipe", "ablation", "-o", trained)
    assert ending.code == 0
    assert all(variant in ending.out for variant in VARIANTS)
    assert "0.1300" in ending.out
    rows = json.loads(br2net("train", dataset, "--recipe", "ablation", "-o", trained, "--json").out)
    assert [(row["variant"], row["steps"]) for row in rows] == [(variant, 544) for variant in VARIANTS]
    by_name = {row["variant"]: row["parameters"] for row in rows}
    assert by_name["h2l-alone"] < by_name["full"] < by_name["fusion-conv"]
