"""`br2net export` with its precisions."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

from br2net.builder import export_onnx
from br2net.builder import precision as precision_module
from br2net.builder.comparison import Tolerance, packaged_photograph
from br2net.network import BR2Net, BR2NetConfig, Checkpoint, load_checkpoint, save_checkpoint
from br2net.network.checkpoint import ModelFacts
from br2net.runtime.images import write_png
from br2net.runtime.model_file import read_model_file
from br2net.runtime.preprocessing import preprocess

from .conftest import Command


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = BR2Net(BR2NetConfig(backbone="mobilenet_v2", width=6, l2h_level=1, h2l_level=3)).eval()
    path = tmp_path_factory.mktemp("checkpoint") / "small.pth"
    save_checkpoint(path, Checkpoint(model, ModelFacts("small", 96, 64)))
    return path


@pytest.fixture(scope="module")
def wide(checkpoint: Path) -> Path:
    """The same network as an fp32 file; casting it takes less than an export does."""
    path = checkpoint.with_name("wide.onnx")
    export_onnx(load_checkpoint(checkpoint), path)
    return path


def maps(path: Path, batch: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": batch})[0])


def test_fp16_computes_in_half_precision_and_tells_how_far_it_is_from_fp32(
    br2net: Command, wide: Path, tmp_path: Path
) -> None:
    half = tmp_path / "half.onnx"
    ended = br2net("export", wide, "-o", half, "--precision", "fp16", "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    facts = read_model_file(half).metadata
    batch = preprocess([packaged_photograph()], 96, 64, facts.normalisation)
    gaps = np.abs(maps(wide, batch) - maps(half, batch))
    assert told["precision"] == facts.precision == "fp16"
    assert told["largest_difference"] == pytest.approx(gaps.max(), abs=1e-6)
    assert facts.figures["fp16_mean_difference"] == pytest.approx(gaps.mean(), abs=1e-6)
    weights = [item.data_type for item in onnx.load(half).graph.initializer if len(item.dims) == 4]
    assert set(weights) == {TensorProto.FLOAT16}
    assert told["kept_fp32"] == []


def test_a_checkpoint_gives_what_its_fp32_file_gives(
    br2net: Command, checkpoint: Path, wide: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.onnx", tmp_path / "two.onnx"
    for model, path in ((checkpoint, one), (wide, two)):
        assert br2net("export", model, "-o", path, "--precision", "fp16").code == 0
    batch = np.random.default_rng(0).standard_normal((1, 3, 64, 96), np.float32)
    np.testing.assert_array_equal(maps(one, batch), maps(two, batch))


def test_nodes_that_stay_in_fp32_are_named(
    br2net: Command, wide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision_module, "kept_fp32", lambda model: ("/l2h/one", "/l2h/two"))
    ended = br2net("export", wide, "-o", tmp_path / "x.onnx", "--precision", "fp16")
    assert "kept in fp32: 2 of " in ended.out and ": /l2h/one, /l2h/two." in ended.out


@pytest.mark.slow
def test_an_open_size_and_batch_are_cast_as_well(br2net: Command, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "any.onnx"
    ended = br2net("export", checkpoint, "-o", path, "--precision", "fp16", "--size", "any", "--batch", "any")
    assert ended.code == 0, ended.err
    batch = np.random.default_rng(0).standard_normal((2, 3, 96, 128), np.float32)
    assert maps(path, batch).shape == (2, 1, 96, 128)


def test_the_comparison_is_on_the_photographs_named(br2net: Command, wide: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "turned.png", packaged_photograph()[::-1].copy())
    figures = []
    for options in ([], ["--images", tmp_path / "turned.png"]):
        ended = br2net("export", wide, "-o", tmp_path / "x.onnx", "--precision", "fp16", "--json", *options)
        figures.append(json.loads(ended.out)["mean_difference"])
    assert figures[0] != figures[1]


def test_maps_too_far_from_fp32_are_refused_with_3(
    br2net: Command, wide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision_module.to_fp16, "__defaults__", ((), Tolerance(largest=0.0, mean=0.0)))
    ended = br2net("export", wide, "-o", tmp_path / "x.onnx", "--precision", "fp16")
    assert ended.code == 3
    assert ended.err.startswith("br2net: The fp16 file is refused") and ended.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--precision", "fp8"], "--precision must be fp32 or fp16, got 'fp8'"),
        (["--precision", "int8"], "br2net calibrate"),
        (["--images", "x.png"], "--images is for --precision fp16"),
        (["--precision", "fp16", "--images", "nothing.png"], "There is no file nothing.png"),
        (["--batch", "two"], "--batch must be a number or 'any', got 'two'"),
        (["--method", "magic"], "--method must be one of"),
    ],
)
def test_impossible_options_are_one_sentence_and_no_file(
    br2net: Command, checkpoint: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    ended = br2net("export", checkpoint, "-o", tmp_path / "x.onnx", *options)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err and ended.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", ["checkpoint", "wide"])
def test_a_name_that_is_not_onnx_is_refused_as_it_was_given(
    br2net: Command, source: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model = request.getfixturevalue(source)
    ended = br2net("export", model, "-o", tmp_path / "x.engine", "--precision", "fp16")
    assert (ended.code, ended.err) == (2, f"br2net: {tmp_path / 'x.engine'} must end in .onnx.\n")


def test_an_exported_file_keeps_its_form_and_size(br2net: Command, wide: Path, tmp_path: Path) -> None:
    ended = br2net("export", wide, "-o", tmp_path / "x.onnx", "--precision", "fp16", "--size", "64x64")
    assert ended.code == 2 and "exported already" in ended.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", ["checkpoint", "wide"])
def test_with_preprocessing_takes_frames_and_gives_maps_of_their_size(
    br2net: Command, source: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model = request.getfixturevalue(source)
    ended = br2net("export", model, "-o", tmp_path / "one.onnx", "--with-preprocessing", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["output"] == str(tmp_path / "one.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "one.onnx"), providers=["CPUExecutionProvider"])
    blur = session.run(None, {"frames": packaged_photograph()[None, :50]})[0]
    assert blur.shape == (1, 50, 640) and blur.dtype == np.float32
