"""`br2net benchmark` as it is typed."""

import json
from pathlib import Path

import pytest

from br2net.benchmarks.latency import run
from br2net.benchmarks.latency.record import read_json, write_json
from tests.app.cli.conftest import Command
from tests.benchmarks.latency.conftest import make_report

QUICK = (
    "--no-baseline",
    "--times-only",
    "--iterations",
    "3",
    "--seconds",
    "0",
    "--warm-up",
    "1",
    "--streams",
    "",
    "--frame",
    "96x64",
)


def test_a_model_is_measured_and_reported(br2net: Command, tiny_onnx: Path, tmp_path: Path) -> None:
    ended = br2net("benchmark", tiny_onnx, *QUICK, "--report", tmp_path / "out", "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told == read_json(tmp_path / "out" / "benchmark.json")
    assert {row["backend"] for row in told["rows"]} == {"openvino", "onnxruntime"}
    assert told["command"].startswith("br2net benchmark ")
    assert (tmp_path / "out" / "index.html").exists()


def test_the_table_has_a_line_for_each_row(br2net: Command, tiny_onnx: Path) -> None:
    ended = br2net("benchmark", tiny_onnx, *QUICK, "--backend", "onnxruntime")
    assert ended.code == 0, ended.err
    assert "tiny, ONNX Runtime FP32" in ended.out
    assert "Only 3 iterations" in ended.out


def test_accuracy_stands_beside_speed(br2net: Command, make_onnx: object, photograph: object, tmp_path: Path) -> None:
    import cv2
    import numpy as np

    from br2net.runtime.metadata import IMAGENET, ModelMetadata

    facts = ModelMetadata("tiny", "{}", "none", 64, 32, IMAGENET, training_data="two photographs")
    model = make_onnx(metadata=facts.to_json())  # type: ignore[operator]
    for kind, pixels in (("images", photograph), ("masks", np.full((100, 150), 255, np.uint8))):
        (tmp_path / "set" / kind).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "set" / kind / "a.png"), pixels)  # type: ignore[call-overload]
    ended = br2net("benchmark", model, *QUICK, "--backend", "onnxruntime", "--dataset", tmp_path / "set", "--json")
    assert ended.code == 0, ended.err
    [row] = json.loads(ended.out)["rows"]
    told = json.loads(br2net("evaluate", tmp_path / "set", "--model", model, "--backend", "onnxruntime", "--json").out)
    assert row["accuracy"]["mae"] == pytest.approx(told["mae"], abs=1e-4)


def test_an_interrupted_run_writes_what_there_is(
    br2net: Command, tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "measure_point", cut_off)
    ended = br2net("benchmark", tiny_onnx, *QUICK, "--batch", "1,2", "--report", tmp_path / "out")
    assert ended.code == 130
    raw = read_json(tmp_path / "out" / "benchmark.json")
    assert raw["complete"] is False
    assert len(raw["rows"]) >= 2
    assert "cut off" in ended.out


def test_a_file_that_was_not_measured_ends_with_2_after_the_rest(
    br2net: Command, tiny_onnx: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    ended = br2net("benchmark", tiny_onnx, broken, *QUICK, "--report", tmp_path / "out")
    assert ended.code == 2
    assert "is not an ONNX file" in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert read_json(tmp_path / "out" / "benchmark.json")["rows"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Name a model"),
        (("nothing.onnx",), "neither a file nor a shipped model"),
        (("mobile", "--iterations", "0"), "at least one"),
        (("mobile", "--batch", "many"), "whole numbers"),
        (("mobile", "--dataset", "/nowhere"), "/nowhere"),
        (("mobile", "--split", "test.txt"), "--dataset; name that too"),
        (("mobile", "--estimate", "abacus"), "abacus"),
        (("mobile", "--size", "big"), "640x384"),
        (("mobile", "--compare", "a", "b"), "no models"),
        (("--compare", "a.json", "b.json"), "Cannot read a.json"),
    ],
)
def test_wrong_use_is_one_sentence(br2net: Command, arguments: tuple[str, ...], words: str) -> None:
    ended = br2net("benchmark", *arguments)
    assert ended.code == 2
    assert words in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_a_regression_ends_with_3(br2net: Command, tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    write_json(old, make_report())
    write_json(new, make_report(1.15, seed=9))
    ended = br2net("benchmark", "--compare", old, new)
    assert ended.code == 3
    assert "became slower beyond noise" in ended.err
    assert br2net("benchmark", "--compare", new, old).code == 0
    told = json.loads(br2net("benchmark", "--compare", old, old, "--json").out)
    assert {change["verdict"] for change in told["changes"]} == {"same"}
