"""The INT8 file with its metadata, and a run of it by OpenVINO."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from br2net.calibration.inference import Batch, Map
from br2net.runtime.backends import open_backend
from br2net.runtime.metadata import METADATA_KEY, ModelMetadata

if TYPE_CHECKING:
    from onnx import ModelProto

CALIBRATION_KEY = "br2net_calibration"  # beside the metadata: method, hash of the calibration set, tool versions


def save_int8(model: "ModelProto", path: Path, metadata: ModelMetadata, calibration: Mapping[str, str]) -> None:
    """Write an INT8 model with what it says of itself."""
    import onnx

    texts = {METADATA_KEY: metadata.to_json(), CALIBRATION_KEY: json.dumps(dict(calibration), sort_keys=True)}
    onnx.helper.set_model_props(model, texts)
    onnx.save(model, path)


def check_by_openvino(path: Path, batches: Sequence[Batch]) -> list[Map]:
    """Blur maps of a file as OpenVINO runs it on this CPU by default, `(h, w)` each."""
    with open_backend(path, "openvino") as backend:
        return [backend.infer(batch)[0, 0] for batch in batches]
