"""`br2net deploy triton`."""

import json
from pathlib import Path

import pytest

from .conftest import Command


def test_each_file_becomes_a_model_of_the_repository(br2net: Command, tiny_onnx: Path, tmp_path: Path) -> None:
    ended = br2net("deploy", "triton", tiny_onnx, "mobile", "-o", tmp_path / "repository", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert [json.loads(line)["name"] for line in ended.out.splitlines()] == ["tiny", "mobile"]
    for name in ("tiny", "mobile"):
        assert (tmp_path / "repository" / name / "config.pbtxt").is_file()
        assert (tmp_path / "repository" / name / "1" / "model.onnx").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["kserve", "mobile"], "must be triton, got 'kserve'"),
        (["triton", "mobile", "--backend", "vllm"], "got 'vllm'"),
        (["triton", "mobile", "mobile", "--name", "a"], "--name is for one model."),
        (["triton", "missing.onnx"], "missing.onnx is neither a file nor a shipped model"),
        (["triton", "mobile", "--instances", "0"], "Batch and instances must be at least 1"),
    ],
)
def test_wrong_use_is_one_sentence_and_no_repository(
    br2net: Command, tmp_path: Path, arguments: list[str], said: str
) -> None:
    ended = br2net("deploy", *arguments, "-o", tmp_path / "repository")
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err and ended.err.count("\n") == 1
    assert not (tmp_path / "repository").exists()
