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
    assert "was not written: maps differ from float32's by" in ending.err
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


def test_a_set_of_photographs_unlike_those_of_the_gate_is_caught_by_the_gate(
    br2net: Command, model: Path, photographs: list[Frame], tmp_path: Path
) -> None:
    for kind in ("fog", "gate/images", "gate/masks"):
        (tmp_path / kind).mkdir(parents=True)
    for index, frame in enumerate(photographs):
        if index % 3:
            fog = cv2.convertScaleAbs(frame, alpha=0.08, beta=118)
            cv2.imwrite(str(tmp_path / "fog" / f"{index:02}.png"), fog)
        else:
            cv2.imwrite(str(tmp_path / "gate" / "images" / f"{index:02}.png"), frame)
            cv2.imwrite(str(tmp_path / "gate" / "masks" / f"{index:02}.png"), np.zeros(frame.shape[:2], np.uint8))
    ending = br2net(
        *("calibrate", model, "-o", tmp_path / "x.onnx", "--images", tmp_path / "fog"), "--gate", tmp_path / "gate"
    )
    assert ending.code == 3
    assert "was not written: maps differ from float32's by" in ending.err
    assert not (tmp_path / "x.onnx").exists()


def test_one_photograph_alone_is_refused(br2net: Command, model: Path, photo_folder: Path, tmp_path: Path) -> None:
    ending = br2net("calibrate", model, "-o", tmp_path / "x.onnx", "--images", photo_folder / "00.png")
    assert ending.code == 2
    assert "has 1 distinct photograph(s) among 1; at least 8 are needed" in ending.err


def test_a_second_run_says_that_it_reused_the_first(
    br2net: Command, model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    first, second = (br2net("calibrate", model, "-o", tmp_path / "x.onnx", "--images", photo_folder) for _ in range(2))
    assert "Reused" not in first.out
    assert "Reused the calibration of an earlier run." in second.out


def test_a_report_is_written_also_where_the_file_is_refused(
    br2net: Command, model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    options = ("--images", photo_folder, "--max-difference", "0", "--report", tmp_path / "report")
    assert br2net("calibrate", model, "-o", tmp_path / "x.onnx", *options).code == 3
    assert listing(tmp_path / "report") == {"index.html", "figures.json", "layers.csv"}
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "The file was not written." in page
    assert "br2net calibrate" in page


def test_a_report_that_would_have_to_be_a_file_is_refused_before_anything_is_calibrated(
    br2net: Command, model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    ending = br2net(
        "calibrate", model, "-o", tmp_path / "x.onnx", "--images", photo_folder, "--report", tmp_path / "taken"
    )
    assert (ending.code, ending.err) == (2, f"br2net: --report must be a folder, got the file {tmp_path / 'taken'}.\n")
    assert not (tmp_path / "x.onnx").exists()


def test_none_kept_makes_every_layer_int8(br2net: Command, model: Path, photo_folder: Path, tmp_path: Path) -> None:
    options = ("--images", photo_folder, "--keep", "none", "--json")
    facts = json.loads(br2net("calibrate", model, "-o", tmp_path / "x.onnx", *options).out)
    assert (facts["kept"], facts["int8_macs"]) == ([], 1.0)


def test_collect_gathers_a_set_that_calibrates(
    br2net: Command, model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    ending = br2net("calibrate", model, "--collect", photo_folder, "-o", tmp_path / "set", "--size", "20")
    assert ending.out == f"{tmp_path / 'set'}: 20 of 30 frames.\n"
    assert len(listing(tmp_path / "set")) == 21
    ending = br2net(
        *("calibrate", model, "-o", tmp_path / "x.onnx", "--images", tmp_path / "set"),
        *("--manifest", tmp_path / "set" / "calibration-set.json"),
    )
    assert (ending.code, ending.out) == (2, "")
    assert "holds no images out for the gate" in ending.err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "No images to calibrate on were named"),
        (("--images", "absent"), "There is no file absent"),
        (("--images", "."), "holds no images"),
        (("--images", "absent.mp4"), "There is no file absent.mp4"),
        (("--images", ".", "--size", "0"), "A calibration set of 0 frames is not possible"),
        (("--images", ".", "--remainder", "fp8"), "remainder must be one of fp32, fp16, got 'fp8'"),
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
