from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from br2net.runtime.engine_file import EngineRecord, InputShape, Library, Profile
from br2net.runtime.metadata import IMAGENET, METADATA_KEY, ModelMetadata

MakeOnnx = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    monkeypatch.setenv("BR2NET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def metadata(precision: str = "fp32") -> ModelMetadata:
    return ModelMetadata("tiny", "{}", "none", 64, 64, IMAGENET, precision=precision)


def record(**changed: object) -> EngineRecord:
    values: dict[str, object] = {
        "model": metadata(),
        "library": Library("tensorrt", "10.3.0"),
        "gpu_name": "Orin",
        "compute_capabilities": ("8.7",),
        "profile": Profile.fixed(InputShape(1, 64, 64)),
        "onnx_name": "tiny.onnx",
        "onnx_sha256": "0" * 64,
        "plan_sha256": "0" * 64,
        "plan_size_bytes": 0,
    }
    return EngineRecord(**(values | changed))  # type: ignore[arg-type]


@pytest.fixture
def make_onnx(tmp_path: Path) -> MakeOnnx:
    """Writes two convolutions as a br2net ONNX file; batch and size may be names, which leaves them free."""

    def make(
        batch: int | str = 1,
        size: int | str = 64,
        relu: str = "Relu",
        channels: int = 64,
        opset: int = 17,
        precision: str = "fp32",
    ) -> Path:
        generator = np.random.default_rng(0)
        first = generator.normal(0, 0.1, (channels, 3, 3, 3)).astype(np.float32)
        second = generator.normal(0, 0.1, (1, channels, 3, 3)).astype(np.float32)
        nodes = [
            helper.make_node("Conv", ["image", "w1"], ["a"], name="first", pads=[1, 1, 1, 1]),
            helper.make_node(relu, ["a"], ["b"], name="activation"),
            helper.make_node("Conv", ["b", "w2"], ["c"], name="second", pads=[1, 1, 1, 1]),
            helper.make_node("Sigmoid", ["c"], ["blur"], name="sigmoid"),
        ]
        width = size if isinstance(size, int) else "width"
        height = size if isinstance(size, int) else "height"
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, height, width])],
            [helper.make_tensor_value_info("blur", TensorProto.FLOAT, [batch, 1, height, width])],
            [numpy_helper.from_array(first, "w1"), numpy_helper.from_array(second, "w2")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
        helper.set_model_props(model, {METADATA_KEY: metadata(precision).to_json()})
        path = tmp_path / "tiny.onnx"
        onnx.save(model, path)
        return path

    return make
