"""`br2net evaluate`, from the command line to its exit code, with an ONNX of known maps."""

import json
import shlex
import sys
from pathlib import Path

import cv2
import pytest

from br2net.cli import main


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, dataset: Path, red_onnx: Path) -> "Command":
    return Command(monkeypatch, ["evaluate", str(dataset), "--model", str(red_onnx)])


class Command:
    """Runs the command line in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
        self._monkeypatch = monkeypatch
        self._words = words

    def __call__(self, *words: str) -> int:
        return self.run([*self._words, *words])

    def run(self, words: list[str]) -> int:
        self._monkeypatch.setattr(sys, "argv", ["br2net", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_json_is_one_object_with_the_promised_figures(
    command: Command, capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    pytest.importorskip(backend)
    assert command("--backend", backend, "--precision", "fp32", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["backend"] == backend
    assert (facts["images"], facts["mae"], facts["iou"]) == (3, 0.25, 0.5)
    assert ", ".join(facts) == "model, backend, precision, images, mae, max_f_blurred, max_f_sharp, auc, iou, size"


def test_plain_output_tells_both_positive_classes_apart(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command() == 0
    text = capsys.readouterr().out
    assert "F (blurred)" in text
    assert "F (sharp)" in text
    assert "published" not in text  # these photographs are no published set


def test_a_report_that_would_have_to_be_a_file_is_refused_before_anything_is_measured(
    command: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    monkeypatch.setattr("br2net.benchmarks.accuracy.evaluate", lambda *_: pytest.fail("measured"))
    assert command("--report", str(tmp_path / "taken")) == 2
    assert "--report must be a folder, got the file" in capsys.readouterr().err


def test_inverted_masks_turn_the_error_around(
    command: Command, dataset: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    split = tmp_path / "split.txt"
    split.write_text("all\n", encoding="utf-8")
    assert command("--split", str(split), "--invert-masks", "--json") == 0
    assert json.loads(capsys.readouterr().out)["mae"] == 1.0


def test_sharp_photographs_are_checked_where_they_are_named(
    command: Command, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--all-sharp", str(dataset / "images"), "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["sharp_images"], facts["sharp_blurred_fraction"]) == (3, 0.5)


def test_the_command_in_the_report_makes_the_same_report(
    command: Command, dataset: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "a report"
    assert command("--positive", "sharp", "--all-sharp", str(dataset / "images"), "--report", str(folder)) == 0
    page = (folder / "index.html").read_text(encoding="utf-8")
    line = page.split("<pre><code>")[1].split("</code>")[0].replace("&#39;", "'")
    (folder / "index.html").unlink()
    assert command.run(shlex.split(line)[1:]) == 0
    assert (folder / "index.html").read_text(encoding="utf-8") == page


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--positive", "both"], "blurred or sharp"),
        (["--size", "63x64"], "63x64"),
        (["--split", "missing.txt"], "missing.txt"),
        (["--all-sharp", "no-folder"], "no-folder"),
        (["--backend", "abacus"], "abacus"),
    ],
)
def test_wrong_use_gives_one_sentence_and_exit_code_2(
    command: Command, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    assert command(*words) == 2
    captured = capsys.readouterr()
    assert reason in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_unknown_mask_values_do_not_count(command: Command, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (dataset / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert mask is not None
        mask[mask == 255] = 128
        cv2.imwrite(str(path), mask)
    assert command("--unknown", "128", "--json") == 0
    assert json.loads(capsys.readouterr().out)["max_f_blurred"] is None  # no blurred pixel is known
