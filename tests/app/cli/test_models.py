"""`br2net models`."""

import json
import shutil
from pathlib import Path

import pytest

from .conftest import Command


@pytest.fixture
def shelf(tmp_path: Path, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder with the tiny model."""
    (tmp_path / "package" / "models").mkdir(parents=True)
    monkeypatch.setattr("br2net.zoo.resources.files", lambda _: tmp_path / "package")
    return Path(shutil.copy(tiny_onnx, tmp_path / "package" / "models" / "tiny.onnx"))


def test_json_is_one_object_for_each_model(br2net: Command, shelf: Path) -> None:
    ended = br2net("models", "--json")
    (facts,) = map(json.loads, ended.out.splitlines())
    assert ended.code == 0
    assert (facts["name"], facts["width"], facts["height"], facts["precision"]) == ("tiny", 64, 32, "fp32")
    assert (facts["path"], facts["size_bytes"]) == (str(shelf), shelf.stat().st_size)


@pytest.mark.usefixtures("shelf")
def test_a_table_names_each_model(br2net: Command) -> None:
    ended = br2net("models")
    assert ended.code == 0
    assert "64x32 or any" in ended.out
    assert ended.out.splitlines()[-1] == "Licence of tiny: unknown"


def test_two_files_of_one_network_are_two_names_and_one_licence(br2net: Command, shelf: Path) -> None:
    shutil.copy(shelf, shelf.with_name("tiny-fp16.onnx"))
    ended = br2net("models")
    assert [json.loads(line)["name"] for line in br2net("models", "--json").out.splitlines()] == ["tiny", "tiny-fp16"]
    assert ended.out.splitlines()[-1] == "Licence of tiny, tiny-fp16: unknown"


def test_a_package_of_no_models_says_so(br2net: Command, shelf: Path) -> None:
    shelf.unlink()
    ended = br2net("models")
    assert (ended.code, ended.out) == (0, "No models come with this package.\n")


def test_a_damaged_model_is_one_sentence(br2net: Command, shelf: Path) -> None:
    shelf.write_bytes(b"no model")
    ended = br2net("models")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"br2net: {shelf} is not an ONNX file, or it is damaged.\n"
