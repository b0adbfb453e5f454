"""A small float32 model with a layer of each kind, and photographs."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from br2net.builder.comparison import packaged_photograph
from br2net.runtime.metadata import METADATA_KEY, SYMMETRIC, ModelMetadata
from br2net.types import Frame

SIDE = 64


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test alone."""
    monkeypatch.setenv("BR2NET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """`image` to `blur`: stem 3x3, depthwise 3x3, dense 1x1, dense 3x3, map 1x1; 64x64, any batch."""
    rng = np.random.default_rng(1)
    shapes = {
        "body.0.stem": (8, 3, 3, 3),
        "body.1.depth": (8, 1, 3, 3),
        "body.1.point": (16, 8, 1, 1),
        "head.0.wide": (8, 16, 3, 3),
        "head.0.last": (1, 8, 1, 1),
    }
    weights = []
    for name, shape in shapes.items():
        fan_in = shape[1] * shape[2] * shape[3]
        weights.append(numpy_helper.from_array(_normal(rng, shape, 1.5 / fan_in**0.5), f"{name}.weight"))
        weights.append(numpy_helper.from_array(_normal(rng, shape[:1], 0.1), f"{name}.bias"))
    nodes = []
    last = "image"
    for index, (name, shape) in enumerate(shapes.items()):
        padding = [shape[2] // 2] * 4
        group = 8 if name == "body.1.depth" else 1
        inputs = [last, f"{name}.weight", f"{name}.bias"]
        nodes.append(helper.make_node("Conv", inputs, [f"c{index}"], name=f"conv{index}", pads=padding, group=group))
        if name != "head.0.last":
            nodes.append(helper.make_node("Relu", [f"c{index}"], [f"r{index}"], name=f"relu{index}"))
        last = f"r{index}"
    nodes.append(helper.make_node("Sigmoid", ["c4"], ["blur"], name="sigmoid"))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("blur", TensorProto.FLOAT, ["batch", 1, SIDE, SIDE])],
        weights,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    metadata = ModelMetadata("small", "{}", "none", SIDE, SIDE, SYMMETRIC)
    helper.set_model_props(proto, {METADATA_KEY: metadata.to_json()})
    path = tmp_path / "small.onnx"
    onnx.save(proto, path)
    return path


@pytest.fixture(scope="session")
def photographs() -> list[Frame]:
    """Thirty parts of one photograph, of several sizes, turned and mirrored: none looks like another."""
    whole = packaged_photograph()
    rng = np.random.default_rng(2)
    parts = []
    for index in range(30):
        height, width = int(rng.integers(120, 400)), int(rng.integers(120, 600))
        top, left = int(rng.integers(0, 427 - height)), int(rng.integers(0, 640 - width))
        part = np.rot90(whole[top : top + height, left : left + width], index % 4)
        parts.append(np.ascontiguousarray(part[:, ::-1] if index % 3 == 0 else part))
    return parts


@pytest.fixture
def photo_folder(tmp_path: Path, photographs: list[Frame]) -> Path:
    """The photographs as PNG files."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for index, frame in enumerate(photographs):
        cv2.imwrite(str(folder / f"{index:02}.png"), frame)
    return folder


def _normal(rng: np.random.Generator, shape: tuple[int, ...], deviation: float) -> NDArray[np.float32]:
    return rng.normal(0.0, deviation, shape).astype(np.float32)
