"""What the tests of several stages share: data beside the project, a tiny model, a photograph."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from br2net.runtime.metadata import IMAGENET, METADATA_KEY, ModelMetadata
from br2net.types import Frame
from tests.testbed.fixture import testbed

__all__ = ["testbed"]  # one for the whole run: what was imported with it stays imported

Dimension = int | str
OnnxMaker = Callable[..., Path]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data sets and weights beside the project, where there is one."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no folder shared/ with data sets and weights beside the project")
    return folder


@pytest.fixture
def photograph() -> Frame:
    """Smooth coloured texture: uint8 `(100, 150, 3)` BGR."""
    coarse = np.random.default_rng(0).integers(0, 256, (10, 15, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (150, 100), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


@pytest.fixture
def make_onnx(tmp_path: Path) -> OnnxMaker:
    """Writes a tiny convolutional blur model of any input shape and metadata, and gives its path."""

    def make(
        name: str = "tiny.onnx",
        batch: Dimension = "batch",
        height: Dimension = "height",
        width: Dimension = "width",
        metadata: str | None = None,
        channels: int = 3,
        input_name: str = "image",
    ) -> Path:
        rng = np.random.default_rng(0)
        weights = [
            numpy_helper.from_array(rng.normal(0.0, 0.6, (4, channels, 3, 3)).astype(np.float32), "first"),
            numpy_helper.from_array(rng.normal(0.0, 1.0, (1, 4, 1, 1)).astype(np.float32), "second"),
        ]
        nodes = [
            helper.make_node("Conv", [input_name, "first"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Conv", ["b", "second"], ["c"]),
            helper.make_node("Sigmoid", ["c"], ["blur"]),
        ]
        image = helper.make_tensor_value_info(input_name, TensorProto.FLOAT, [batch, channels, height, width])
        blur = helper.make_tensor_value_info("blur", TensorProto.FLOAT, [batch, 1, height, width])
        graph = helper.make_graph(nodes, "tiny", [image], [blur], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        if metadata is None:
            metadata = ModelMetadata("tiny", "{}", "none", 64, 32, IMAGENET).to_json()
        if metadata:
            helper.set_model_props(model, {METADATA_KEY: metadata})
        path = tmp_path / name
        onnx.save(model, path)
        return path

    return make


@pytest.fixture
def tiny_onnx(make_onnx: OnnxMaker) -> Path:
    """A tiny blur model: `image` float32 (N, 3, h, w) to `blur` (N, 1, h, w), all of N, h, w symbolic; default 64x32."""
    return make_onnx()
