"""ONNX files as the runtime sees them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from br2net.errors import InputError, ModelError
from br2net.runtime.model_file import read_model_file

OnnxMaker = Callable[..., Path]


def test_symbolic_dimensions_are_open(tiny_onnx: Path) -> None:
    file = read_model_file(tiny_onnx)
    assert (file.batch, file.width, file.height, file.metadata.name) == (None, None, None, "tiny")
    assert file.choose_size(None) == (64, 32)
    assert file.choose_size((96, 128)) == (96, 128)


def test_a_fixed_size_refuses_another_with_the_command_that_makes_it(make_onnx: OnnxMaker) -> None:
    file = read_model_file(make_onnx(batch=1, height=32, width=64))
    assert file.choose_size(None) == file.choose_size((64, 32)) == (64, 32)
    with pytest.raises(InputError, match=r"takes 64x32 alone, not 96x96; .*`br2net export … --size 96x96`"):
        file.choose_size((96, 96))


def test_one_fixed_side_leaves_the_other_open(make_onnx: OnnxMaker) -> None:
    file = read_model_file(make_onnx(height=32))
    assert file.choose_size((96, 32)) == (96, 32)
    with pytest.raises(InputError):
        file.choose_size((96, 64))


def test_a_size_that_is_no_multiple_of_32_is_refused(tiny_onnx: Path) -> None:
    with pytest.raises(InputError, match="multiples of 32"):
        read_model_file(tiny_onnx).choose_size((100, 64))


@pytest.mark.parametrize("content", [b"", b"no model at all", bytes(1000)])
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"x\.onnx is not an ONNX file"):
        read_model_file(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"There is no file .*x\.onnx"):
        read_model_file(tmp_path / "x.onnx")


def test_a_file_without_metadata_is_refused_with_what_to_do(make_onnx: OnnxMaker) -> None:
    with pytest.raises(ModelError, match="carries no br2net metadata; make it with `br2net export`"):
        read_model_file(make_onnx(metadata=""))


@pytest.mark.parametrize("options", [{"channels": 1}, {"input_name": "pixels"}])
def test_a_graph_of_another_interface_is_refused(make_onnx: OnnxMaker, options: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="must have an input image"):
        read_model_file(make_onnx(**options))
