"""A model repository as Triton serves it: `NAME/config.pbtxt` and `NAME/1/model.onnx`, `model.plan` or `model.py`."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from br2net.errors import InputError, ModelError
from br2net.files import ENGINE_SUFFIXES, sha256_of, write_text, written_whole
from br2net.runtime.engine_file import read_record
from br2net.runtime.metadata import METADATA_KEY, ModelMetadata
from br2net.runtime.model_file import load_onnx, metadata_of
from br2net.runtime.onnxruntime.rounding import quantises_float16

BackendName = Literal["onnxruntime", "tensorrt", "python"]
FILES = {"onnxruntime": "model.onnx", "tensorrt": "model.plan", "python": "model.onnx"}


@dataclass(frozen=True)
class ServingOptions:
    """How the server runs a model.

    Attributes:
        backend: Triton's: `onnxruntime`, `tensorrt`, or `python`, which runs the ONNX file by ONNX Runtime or OpenVINO where
            the server has no other; None for what the file needs.
        largest_batch: number of requests that the server puts together, at most.
        delay_us: microseconds that the first of them waits for others; 0 for no batching.
        instances: copies of the model that compute at the same time.
        gpu: True if they run on a GPU.

    Raises:
        InputError: if a number is out of range.
    """

    backend: BackendName | None = None
    largest_batch: int = 8
    delay_us: int = 2000
    instances: int = 1
    gpu: bool = True

    def __post_init__(self) -> None:
        if self.largest_batch < 1 or self.delay_us < 0 or self.instances < 1:
            raise InputError("Batch and instances must be at least 1, and the delay at least 0.")


@dataclass(frozen=True)
class Served:
    """A model as the server sees it.

    Attributes:
        metadata: facts that `TritonBackend` reads from the configuration.
        frames: True if it takes uint8 frames `(N, H, W, 3)` instead of normalised images `(N, 3, h, w)`.
        entry, exit: shapes of input and output; -1 is open, and the first side is the batch.
        largest_batch: 0 where the batch is fixed in the file.
    """

    metadata: ModelMetadata
    frames: bool
    entry: tuple[int, ...]
    exit: tuple[int, ...]
    largest_batch: int


@dataclass(frozen=True)
class Deployed:
    """A model in a repository."""

    name: str
    version: int
    folder: Path
    backend: str


def deploy(model: Path, repository: Path, options: ServingOptions, name: str | None = None) -> Deployed:
    """Put a model into a repository: a new version, unless the newest one is the same file; its configuration anew.

    Raises:
        ModelError: if it is no model file of this package.
        InputError: if the backend does not read such files, or something cannot be written.
    """
    is_engine = model.suffix.lower() in ENGINE_SUFFIXES
    if not is_engine and model.suffix.lower() != ".onnx":
        raise ModelError(f"{model} is neither an engine nor an ONNX file; export or build it first.")
    backend = options.backend or ("tensorrt" if is_engine else "onnxruntime")
    if (backend == "tensorrt") != is_engine:
        raise InputError(f"Triton's backend {backend} does not read {model.suffix} files.")
    served = _engine(model, options) if is_engine else _onnx(model, options)
    name = name or model.stem
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise InputError(f"A model's name must consist of letters, digits, '.', '-' and '_', got {name!r}.")
    folder = repository / name
    version = _version(folder, model, FILES[backend])
    with written_whole(folder / str(version) / FILES[backend]) as temporary:
        shutil.copyfile(model, temporary)
    if backend == "python":
        source = resources.files("br2net.builder.triton").joinpath("python_model.py")
        write_text(folder / str(version) / "model.py", source.read_text(encoding="utf-8"))
    write_text(folder / "config.pbtxt", configuration(name, backend, served, options))
    return Deployed(name, version, folder, backend)


def configuration(name: str, backend: str, served: Served, options: ServingOptions) -> str:
    """Return the text of `config.pbtxt`."""
    return "\n".join(_configuration(name, backend, served, options)) + "\n"


def _configuration(name: str, backend: str, served: Served, options: ServingOptions) -> Iterator[str]:
    text = json.dumps  # a string of the protobuf text format, of printable ASCII
    batched = served.largest_batch > 0
    inputs = ("frames", "TYPE_UINT8") if served.frames else ("image", "TYPE_FP32")
    outputs = ("map" if served.frames else "blur", "TYPE_FP32")
    yield f"name: {text(name)}\nbackend: {text(backend)}\nmax_batch_size: {served.largest_batch}"
    for field, (tensor, kind), shape in (("input", inputs, served.entry), ("output", outputs, served.exit)):
        sides = ", ".join(map(str, shape[1:] if batched else shape))
        yield f"{field} [ {{ name: {text(tensor)}, data_type: {kind}, dims: [ {sides} ] }} ]"
    if batched and options.delay_us:
        yield f"dynamic_batching {{ max_queue_delay_microseconds: {options.delay_us} }}"
    kind = "KIND_GPU" if options.gpu else "KIND_CPU"
    yield f"instance_group [ {{ count: {options.instances}, kind: {kind} }} ]"
    yield "version_policy { latest { num_versions: 1 } }"
    height, width = (
        served.metadata.height,
        served.metadata.width,
    )  # one image and a full batch before it counts as ready
    example = [height, width, 3] if served.frames else [3, height, width]
    image = [side if side > 0 else other for side, other in zip(served.entry[1:], example, strict=True)]
    for count in sorted({1, served.largest_batch}) if batched else [0]:
        sides = ", ".join(map(str, image if batched else [max(1, served.entry[0]), *image]))
        tensor = f"data_type: {inputs[1]}, dims: [ {sides} ], zero_data: true"
        yield (
            f"model_warmup [ {{ name: {text(f'zeros_{count}')}, batch_size: {count}, "
            f"inputs {{ key: {text(inputs[0])}, value {{ {tensor} }} }} }} ]"
        )
    facts = text(served.metadata.to_json())
    yield f"parameters [ {{ key: {text(METADATA_KEY)}, value {{ string_value: {facts} }} }} ]"


def _engine(model: Path, options: ServingOptions) -> Served:
    record = read_record(model)
    low, high = record.profile.smallest, record.profile.largest
    height, width = (a if a == b else -1 for a, b in ((low.height, high.height), (low.width, high.width)))
    batched = low.batch < high.batch
    first = -1 if batched else high.batch
    largest = min(high.batch, options.largest_batch) if batched else 0
    return Served(record.model, False, (first, 3, height, width), (first, 1, height, width), largest)


def _onnx(model: Path, options: ServingOptions) -> Served:
    file = load_onnx(model)
    if quantises_float16(file):
        raise ModelError(
            f"{model} quantises float16 tensors, which ONNX Runtime in Triton would round wrongly; "
            "calibrate without --remainder fp16, or deploy an engine built from it."
        )
    metadata = metadata_of(file, model)
    if metadata is None:
        raise ModelError(f"{model} carries no br2net metadata; make it with `br2net export`.")
    entry, exit_ = (
        tuple(side.dim_value if side.HasField("dim_value") else -1 for side in end.type.tensor_type.shape.dim)
        for end in (file.graph.input[0], file.graph.output[0])
    )
    largest = options.largest_batch if entry[0] < 0 else 0
    return Served(metadata, file.graph.input[0].name == "frames", entry, exit_, largest)


def _version(folder: Path, model: Path, file: str) -> int:
    """Return the newest version's number if it is this very file, else the next one."""
    newest = max((int(item.name) for item in folder.glob("*") if item.name.isdecimal()), default=0)
    there = folder / str(newest) / file
    return newest if newest and there.is_file() and sha256_of(there) == sha256_of(model) else newest + 1
