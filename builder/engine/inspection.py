"""What an engine file is, from its first bytes and its sidecar, without loading it; and its layers by precision."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from br2net.builder.inspection import metadata_rows
from br2net.errors import Br2netError, ModelError
from br2net.files import ENGINE_SUFFIXES
from br2net.runtime.engine_file import (
    RTX,
    TENSORRT,
    EngineRecord,
    Library,
    PlanHeader,
    check_intact,
    parse_plan_header,
    read_engine,
    read_record,
)
from br2net.runtime.gpu import find_gpu

_FLAVOURS = {"ftrt": TENSORRT, "vtrt": RTX}
_PRECISIONS = (  # narrowest first: a convolution of int8 input and fp16 output computes in int8
    ("int8", re.compile(r"int8", re.I)),
    ("fp8", re.compile(r"fp8|e4m3", re.I)),
    ("bf16", re.compile(r"bf16|bfloat", re.I)),
    ("fp16", re.compile(r"fp16|half", re.I)),
    ("fp32", re.compile(r"fp32|float", re.I)),
)
_TYPE_FIELDS = ("Format/Datatype", "Datatype", "DataType", "Format")  # the first until TensorRT 10, the others since 11
_MOVES_DATA = ("reformat", "noop", "shuffle", "constant", "signal", "wait")


@dataclass(frozen=True)
class EngineSummary:
    """Facts of an engine file.

    Attributes:
        path: path of the plan.
        size_bytes: size of the plan; None where there is only a sidecar.
        header: content of the plan's first bytes; None where there is only a sidecar.
        record: content of the sidecar; None where there is none, or it is damaged.
        damage: why the two cannot be used as they are, in one sentence; None where they are whole and belong together.
        obstacle: why this machine cannot run it, in one sentence; None where it can.
    """

    path: Path
    size_bytes: int | None
    header: PlanHeader | None
    record: EngineRecord | None
    damage: str | None
    obstacle: str | None

    def writer(self) -> str:
        """Return product and version that wrote the plan, from its first bytes; from the sidecar where there is no plan."""
        if self.header is None:
            return str(self.record.library) if self.record else "unknown"
        flavour = self.record.library.flavour if self.record else _FLAVOURS.get(self.header.tag, self.header.tag)
        return str(Library(flavour, self.header.version_text()))

    def rows(self) -> list[tuple[str, str]]:
        """Return name and text of each fact, for a table."""
        rows = [] if self.record is None else metadata_rows(self.record.model)
        if self.header is not None and self.size_bytes is not None:
            rows.append(("plan", f"{self.size_bytes / 1e6:.1f} MB, tag {self.header.tag}, by {self.writer()}"))
        if self.record is not None:
            rows += _record_rows(self.record)
        rows.append(("whole", "yes" if self.damage is None else f"no: {self.damage}"))
        rows.append(("runs here", "yes" if self.obstacle is None else f"no: {self.obstacle}"))
        return rows

    def facts(self) -> dict[str, Any]:
        """Return the facts as JSON values."""
        header = self.header and {
            "tag": self.header.tag,
            "version": self.header.version_text(),
            "size_bytes": self.header.size_bytes,
        }
        return {
            "file": str(self.path),
            "kind": "engine",
            "size_bytes": self.size_bytes,
            "written_by": self.writer(),
            "plan": header,
            "sidecar": self.record and json.loads(self.record.to_json()),
            "damage": self.damage,
            "obstacle": self.obstacle,
        }


def is_engine(path: Path) -> bool:
    """Return whether a file is a plan or a plan's sidecar, by its name or its first bytes."""
    if path.suffix.lower() in ENGINE_SUFFIXES or _is_sidecar(path):
        return True
    with path.open("rb") as file:
        return file.read(4)[1:] == b"trt"


def inspect_engine(path: Path) -> EngineSummary:
    """Look at a plan or at its sidecar, and at the other one of the two where it is there.

    Raises:
        ModelError: if the file is neither, or a sidecar without its plan is damaged.
    """
    engine = path.with_suffix("") if _is_sidecar(path) else path
    if not engine.is_file():
        record = read_record(engine)
        absent = f"{engine} is not there; build it again with `br2net build {record.onnx_name} -o {engine}`."
        return EngineSummary(engine, None, None, record, absent, absent)
    plan = engine.read_bytes()
    header = parse_plan_header(plan, str(engine))
    found, damage = None, None
    try:
        found = read_record(engine)
        check_intact(engine, plan, header, found)
    except ModelError as error:
        damage = str(error)
    return EngineSummary(engine, len(plan), header, found, damage, damage or _obstacle(engine))


def _is_sidecar(path: Path) -> bool:
    return path.suffix == ".json" and path.with_suffix("").suffix.lower() in ENGINE_SUFFIXES


def _obstacle(engine: Path) -> str | None:
    """Return why this machine cannot run a whole engine, or None."""
    gpu = find_gpu()
    if gpu is None:
        return "There is no NVIDIA GPU (or driver) here."
    try:
        from br2net.runtime.tensorrt.api import library

        read_engine(engine, library(), gpu)
    except Br2netError as error:
        return str(error)
    return None


def _record_rows(record: EngineRecord) -> list[tuple[str, str]]:
    layers = ", ".join(f"{count} {precision}" for precision, count in record.layers.items())
    figures = ", ".join(f"{name.replace('_', ' ')} {value:.2g}" for name, value in record.figures.items())
    rows = [
        ("built by", str(record.library)),
        ("built for", record.built_for()),
        ("input shapes", str(record.profile)),
        ("layers", layers or "not counted: no GPU ran it after the build"),
        ("maps against its ONNX", figures or "not compared: no GPU ran it after the build"),
        ("built from", f"{record.onnx_name} (SHA-256 {record.onnx_sha256[:16]})"),
    ]
    if record.version_compatible:
        rows.append(("compatible", "with later versions of the same major number"))
    if record.stripped:
        rows.append(("stripped", "its weights must be filled in first (br2net build --refit)"))
    return rows


def count_layers(inspector_json: str) -> dict[str, int]:
    """Count the layers of each precision; layers that only move data are left out.

    Args:
        inspector_json: from `IEngineInspector.get_engine_information(LayerInformationFormat.JSON)`, of an engine built
            with detailed profiling verbosity; of any other, each layer is only a name and counts as `unknown`.
    """
    layers = json.loads(inspector_json).get("Layers", [])
    counts = Counter(precision_of(layer) for layer in layers if not _moves_data(layer))
    return dict(sorted(counts.items()))


def mostly_fp32(counts: Mapping[str, int], precision: str) -> str | None:
    """Return a warning where an engine of a narrow precision has more fp32 layers than others, otherwise None."""
    known = sum(counts.values()) - counts.get("unknown", 0)
    if precision == "fp32" or known == 0 or counts.get("fp32", 0) * 2 <= known:
        return None
    return (
        f"This {precision} engine is mostly fp32: {counts['fp32']} of {known} layers; it will not be faster than fp32."
    )


def precision_of(layer: Any) -> str:
    """Return the narrowest type among the inputs and outputs of one of the inspector's layers."""
    if not isinstance(layer, dict):
        return "unknown"
    tensors = [item for item in (*layer.get("Inputs", []), *layer.get("Outputs", [])) if isinstance(item, dict)]
    types = " ".join(str(tensor.get(field, "")) for tensor in tensors for field in _TYPE_FIELDS)
    return next((name for name, pattern in _PRECISIONS if pattern.search(types)), "unknown")


def _moves_data(layer: Any) -> bool:
    return isinstance(layer, dict) and str(layer.get("LayerType", "")).lower() in _MOVES_DATA
