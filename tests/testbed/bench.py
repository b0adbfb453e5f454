"""The networks of this package in every form and precision, and their plans. `tensorrt_rtx` has to be loaded before."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from br2net.builder import ExportOptions, export_onnx
from br2net.builder.comparison import packaged_photograph
from br2net.builder.engine import BuildOptions, build_engine
from br2net.builder.engine.options import parse_profile
from br2net.builder.precision import to_fp16
from br2net.calibration.layers import Layer, read_float_model
from br2net.calibration.qdq import quantise
from br2net.network import NAMED_CONFIGS, BR2Net, Checkpoint
from br2net.network.checkpoint import ModelFacts
from br2net.runtime.engine_file import EngineRecord
from br2net.runtime.metadata import METADATA_KEY
from br2net.runtime.model_file import read_model_file
from br2net.runtime.preprocessing import preprocess

SMALLEST = 1e-3  # of a scale: random weights can leave a tensor without any value but zero


@dataclass(frozen=True, eq=False)
class Built:
    """A plan: what its sidecar says, its bytes, and what parser and builder took for it, by the wall and by the CPU."""

    record: EngineRecord
    plan: bytes
    seconds: float
    cpu_seconds: float


class Bench:
    """Exports and builds into one folder, each file once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def export(self, network: str, name: str, size: int, **options: object) -> Path:
        """The network of that name, of random weights, as fp32."""
        path = self._folder / f"{network}-{name}.onnx"
        if not path.exists():
            torch.manual_seed(0)
            checkpoint = Checkpoint(BR2Net(NAMED_CONFIGS[network]).eval(), ModelFacts(network, size, size))
            export_onnx(checkpoint, path, ExportOptions(**options))  # type: ignore[arg-type]
        return path

    def fp16(self, source: Path) -> Path:
        """The FP16 form of an fp32 file, by AutoCast."""
        path = source.with_name(f"{source.stem}-fp16.onnx")
        if not path.exists():
            to_fp16(source, path)
        return path

    def int8(self, source: Path, depthwise: bool) -> Path:
        """The Q/DQ form of an fp32 file: every layer that can be, or all but the depthwise ones."""
        path = source.with_name(f"{source.stem}-int8{'' if depthwise else '-depthwise-fp32'}.onnx")
        if not path.exists():
            layers = [layer for layer in read_float_model(source).layers if depthwise or layer.kind != "depthwise"]
            model = onnx.load(source)
            weights = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
            quantised = quantise(model, layers, _largest(source, layers), weights)
            facts = read_model_file(source).metadata.with_precision("int8")
            onnx.helper.set_model_props(quantised, {METADATA_KEY: facts.to_json()})
            onnx.save(quantised, path)
        return path

    def build(self, source: Path, batch: str = "", size: str = "", targets: tuple[str, ...] = ("any",)) -> Built:
        """The plan of a file; batch and size are needed where it leaves them open."""
        engine = source.with_suffix(".engine")
        options = BuildOptions(
            profile=parse_profile(batch, size) if batch else None, targets=targets, timing_cache=False
        )
        began, worked = time.perf_counter(), time.process_time()
        record = build_engine(source, engine, options)
        return Built(record, engine.read_bytes(), time.perf_counter() - began, time.process_time() - worked)


def _largest(source: Path, layers: list[Layer]) -> dict[str, float]:
    """The largest magnitude of each tensor that a layer reads, on the photograph in the package."""
    model = onnx.load(source)
    facts = read_model_file(source).metadata
    image = preprocess([packaged_photograph()], facts.width, facts.height, facts.normalisation)
    names = sorted({layer.input for layer in layers} - {"image"})
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    values = session.run(names, {"image": image})
    found = {name: max(float(np.abs(value).max()), SMALLEST) for name, value in zip(names, values, strict=True)}
    return found | {"image": float(np.abs(image).max())}
