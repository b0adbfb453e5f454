"""FP16 ONNX files, by modelopt's AutoCast: what would lose too much stays fp32; the graph says which."""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from br2net.builder.comparison import Difference, Tolerance, compare, packaged_photograph
from br2net.builder.inspection import MULTIPLYING
from br2net.errors import InputError, MissingDependencyError
from br2net.files import check_suffix, written_whole
from br2net.runtime.backend import InferenceOptions
from br2net.runtime.backends import open_backend
from br2net.runtime.metadata import METADATA_KEY, ModelMetadata
from br2net.runtime.model_file import read_model_file
from br2net.runtime.preprocessing import preprocess
from br2net.types import Batch, Frame

if TYPE_CHECKING:
    import onnx

FP16_TOLERANCE = Tolerance(largest=0.15, mean=0.005)  # of the fp16 file against fp32, both by ONNX Runtime


@dataclass(frozen=True)
class Fp16Result:
    """A written FP16 file.

    Attributes:
        metadata: inside the file; its figures hold the differences from fp32.
        kept_fp32: names of the convolutions and matrix products that stayed fp32.
        difference: of its blur maps from the fp32 file's.
    """

    metadata: ModelMetadata
    kept_fp32: tuple[str, ...]
    difference: Difference


def to_fp16(
    onnx_path: Path,
    out: Path,
    frames: Sequence[Frame] = (),
    tolerance: Tolerance = FP16_TOLERANCE,
) -> Fp16Result:
    """Write the FP16 form of an fp32 ONNX file; its input and output stay float32.

    Args:
        onnx_path: exported by br2net, fp32.
        out: the file to write.
        frames: photographs, uint8 `(H, W, 3)` BGR: they show AutoCast which values occur, and the result
            is compared on them. The photograph in this package where there are none.
        tolerance: largest accepted difference from fp32.

    Raises:
        MissingDependencyError: if modelopt or ONNX Runtime is not installed.
        InputError: if the file is not fp32 or `out` cannot be written.
        ModelError: if `onnx_path` is no ONNX file of br2net's.
        GateError: if the maps differ too much. Nothing is written then.
    """
    check_suffix(out, ".onnx")
    file = read_model_file(onnx_path)
    metadata = file.metadata
    if metadata.precision != "fp32":
        raise InputError(f"{onnx_path} is {metadata.precision} already; start from the fp32 file.")
    frames = frames or [packaged_photograph()]
    batches = [
        preprocess([frame] * (file.batch or 1), metadata.width, metadata.height, metadata.normalisation)
        for frame in frames
    ]
    model = autocast(onnx_path, batches)
    with written_whole(out) as temporary:
        _save(model, temporary, metadata.with_precision("fp16"))
        options = InferenceOptions(device="cpu", size=(metadata.width, metadata.height))
        with (
            open_backend(temporary, "onnxruntime", options) as candidate,
            open_backend(onnx_path, "onnxruntime", options) as baseline,
        ):
            found = compare(candidate, baseline, frames)
        tolerance.check(found, "The fp16 file", "fp32")
        figures = {f"fp16_{name}": value for name, value in found.figures().items()}
        metadata = replace(metadata.with_precision("fp16"), figures=metadata.figures | figures)
        _save(model, temporary, metadata)
    return Fp16Result(metadata, kept_fp32(model), found)


def kept_fp32(model: "onnx.ModelProto") -> tuple[str, ...]:
    """Return the names of the convolutions and matrix products whose output is float32, in graph order."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    values = [*graph.value_info, *graph.output]
    fp32 = {value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    return tuple(node.name for node in graph.node if node.op_type in MULTIPLYING and node.output[0] in fp32)


def autocast(path: Path, batches: Sequence[Batch]) -> "onnx.ModelProto":
    """Cast an fp32 ONNX file to fp16 where AutoCast sees no harm; input and output stay float32.

    Args:
        path: the fp32 file.
        batches: network input, float32 `(N, 3, h, w)` each, that shows which values occur.

    Raises:
        MissingDependencyError: if modelopt is not installed.
    """
    try:
        from modelopt.onnx.autocast import convert_to_mixed_precision
        from modelopt.onnx.logging_config import configure_logging
    except ImportError as error:
        raise MissingDependencyError(
            "FP16 needs NVIDIA's Model Optimizer: `pip install 'nvidia-modelopt[onnx]'`."
        ) from error
    configure_logging(logging.ERROR)  # it reports every node otherwise; what stayed fp32 is returned instead
    with tempfile.TemporaryDirectory() as folder:  # AutoCast reads several batches from files alone
        for index, batch in enumerate(batches):
            np.savez(Path(folder) / f"{index:04}.npz", image=batch)
        model: onnx.ModelProto = convert_to_mixed_precision(
            str(path), low_precision_type="fp16", keep_io_types=True, calibration_data=folder
        )
    del model.graph.value_info[:]  # shapes that AutoCast copied from one node to another; each runtime infers its own
    return model


def _save(model: "onnx.ModelProto", path: Path, metadata: ModelMetadata) -> None:
    import onnx

    onnx.helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    onnx.save(model, path)
