"""`br2net calibrate`: INT8 files, the gate's refusal, and calibration sets that are useless."""

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from tests.calibration.conftest import Frame, model, own_cache, photo_folder, photographs  # noqa: F401

from .conftest import Command


def listing(folder: Path) -> set[str]:
    return {item.name for item in folder.rglob("*") if item.is_file()}


def test_a_folder_of_photographs_makes_an_int8_file_with_its_manifest(
    br2net: Command, model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out" / "x-int8.onnx"
    ending = br2net("calibrate", model, "-o", output, "--images", photo_folder, "--json")
    assert ending.code == 0, ending.err
    facts = json.loads(ending.out)
    manifest = json.loads((tmp_path / "out" / "x-int8.calibration.json").read_text(encoding="utf-8"))
    assert listing(tmp_path / "out") == {"x-int8.onnx", "x-int8.calibration.json"}
    assert facts["model"] == "small-int8"
    assert facts["gate"]["difference"] <= 0.01
    assert facts["int8_bytes"] == output.stat().st_size
    assert len(manifest["frames"]) == facts["frames"] > len(manifest["held_out"]) == facts["gate"]["images"] > 0
    assert {node.op_type for node in onnx.load(output).graph.node} >= {"QuantizeLinear", "DequantizeLinear"}


def test_a_gate_that_does_not_hold_exits_3_names_layers_and_writes_nothing(
    br2net: Command, model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out" / "x-int8.onnx"
    ending = br2net("calibrate", model, "-o", output, "--images", photo_folder, "--max-difference", "0")
    assert ending.code == 3
    assert "is not written: maps differ from float32's by" in ending.err
    assert any(name in ending.err for name in ("body.0.stem", "body.1.depth", "body.1.point", "head.0.wide"))
    assert not output.parent.exists() or not listing(output.parent)


def test_a_refused_file_leaves_what_stood_there_as_it_was(
    br2net: Command, model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "x-int8.onnx"
    output.write_bytes(b"earlier")
    assert br2net("calibrate", model, "-o", output, "--images", photo_folder, "--max-difference", "0").code == 3
    assert output.read_bytes() == b"earlier"


def test_accept_drift_writes_the_file_and_says_what_does_not_hold(
    br2net: Command, model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "x-int8.onnx"
    options = ("--images", photo_folder, "--max-difference", "0", "--accept-drift")
    ending = br2net("calibrate", model, "-o", output, *options)
    assert ending.code == 0, ending.err
    assert output.is_file()
    assert "The gate does not hold, and --accept-drift was given" in ending.out


def one_image(photographs: list[Frame]) -> list[Frame]:
    return photographs[:1] * 20


def all_black(photographs: list[Frame]) -> list[Frame]:
    return [np.random.default_rng(0).integers(0, 3, frame.shape, np.uint8) for frame in photographs]


def noise(photographs: list[Frame]) -> list[Frame]:
    return [np.random.default_rng(index).integers(0, 256, (200, 200, 3), np.uint8) for index in range(20)]


def masks(photographs: list[Frame]) -> list[Frame]:
    blank = [np.zeros((300, 400, 3), np.uint8) for _ in range(30)]
    return [cv2.circle(item, (60 + 9 * index, 150), 50, (255, 255, 255), -1) for index, item in enumerate(blank)]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (one_image, "has 1 distinct photograph(s) among 20"),
        (all_black, "30 of 30 images are no photographs (30 blank)"),
        (noise, "20 of 20 images are no photographs (20 noise)"),
        (masks, "30 of 30 images are no photographs (30 masks or drawings)"),
    ],
)
def test_a_useless_calibration_set_is_refused_in_one_sentence(
    br2net: Command, model: Path, photographs: list[Frame], tmp_path: Path, make: object, reason: str
) -> None:
    folder = tmp_path / "useless"
    folder.mkdir()
    for index, frame in enumerate(make(photographs)):  # type: ignore[operator]
        cv2.imwrite(str(folder / f"{index:02}.png"), frame)
    ending = br2net("calibrate", model, "-o", tmp_path / "x.onnx", "--images", folder)
    assert (ending.code, ending.out) == (2, "")
    assert reason in ending.err and ending.err.count("\n") == 1
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "No images to calibrate on were named"),
        (("--images", "absent"), "There is no file absent"),
        (("--images", "."), "holds no images"),
        (("--images", "absent.mp4"), "There is no file absent.mp4"),
        (("--images", ".", "--method", "guess"), "There is no method guess"),
        (("--images", ".", "--size", "0"), "A calibration set of 0 frames is not possible"),
        (("--images", ".", "--sensitivity", "pixel"), "--sensitivity is layer or block, not pixel"),
        (("--images", ".", "--max-mae", "nan"), "A limit of the gate lies in 0..1"),
    ],
)
def test_wrong_use_is_said_in_one_sentence(
    br2net: Command,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    reason: str,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    ending = br2net("calibrate", model, "-o", tmp_path / "x.onnx", *options)
    assert (ending.code, ending.out) == (2, "")
    assert reason in ending.err and ending.err.count("\n") == 1
