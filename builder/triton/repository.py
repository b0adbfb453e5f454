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
from br2net.files import sha256_of, write_text, written_whole
from br2net.runtime.engine_file import read_record
from br2net.runtime.metadata import METADATA_KEY, ModelMetadata
from br2net.runtime.onnxruntime.rounding import quantises_float16

BackendName = Literal["onnxruntime", "tensorrt", "python"]
FILES = {"onnxruntime": "model.onnx", "tensorrt": "model.plan", "python": "model.onnx"}
ENGINES = (".engine", ".plan")


@dataclass(frozen=True)
class ServingOptions:
    """How the server runs a model.

    Attributes:
        backend: Triton's: `onnxruntime`, `tensorrt`, or `python`, which runs the ONNX file by ONNX Runtime or OpenVINO where
            the server has no other; None for what the file needs.
        largest_batch: of requests that the server puts together, at most.
        delay_us: microseconds that the first of them waits for others; 0 leaves batching out.
        instances: copies of the model that compute at the same time.
        gpu: whether they run on a GPU.

    Raises:
        InputError: if a number is not possible.
    """

    backend: BackendName | None = None
    largest_batch: int = 8
    delay_us: int = 2000
    instances: int = 1
    gpu: bool = True

    def __post_init__(self) -> None:
        if self.largest_batch < 1 or self.delay_us < 0 or self.instances < 1:
            raise InputError("Batch and instances are at least 1, and the delay is not negative.")


@dataclass(frozen=True)
class Tensor:
    """An input or output: name, Triton's type, and shape; -1 is open, and the first side the batch."""

    name: str
    kind: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Served:
    """What is deployed: facts, what goes in and out, and the largest batch (0 where the batch is fixed in the file)."""

    metadata: ModelMetadata
    entry: Tensor
    exit: Tensor
    largest_batch: int


@dataclass(frozen=True)
class Deployed:
    """Where a model is now."""

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
    backend = _backend(model, options.backend)
    served = _engine(model, options) if backend == "tensorrt" else _onnx(model, options)
    name = name or model.stem
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise InputError(f"{name!r} is no name for a model; letters, digits, '.', '-' and '_' make one.")
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
    """The text of `config.pbtxt`."""
    batched = served.largest_batch > 0
    lines = [f"name: {_quote(name)}", f"backend: {_quote(backend)}", f"max_batch_size: {served.largest_batch}"]
    for field, tensor in (("input", served.entry), ("output", served.exit)):
        sides = ", ".join(map(str, tensor.shape[1:] if batched else tensor.shape))
        lines.append(f"{field} [ {{ name: {_quote(tensor.name)}, data_type: {tensor.kind}, dims: [ {sides} ] }} ]")
    if batched and options.delay_us:
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {options.delay_us} }}")
    kind = "KIND_GPU" if options.gpu else "KIND_CPU"
    lines.append(f"instance_group [ {{ count: {options.instances}, kind: {kind} }} ]")
    lines.append("version_policy { latest { num_versions: 1 } }")
    lines += _warm_up(served, batched)
    lines.append(
        f"parameters [ {{ key: {_quote(METADATA_KEY)}, value {{ string_value: {_quote(served.metadata.to_json())} }} }} ]"
    )
    return "\n".join(lines) + "\n"


def _warm_up(served: Served, batched: bool) -> Iterator[str]:
    """One request of zeros for a single image, and one for a full batch, before the model counts as ready."""
    example = (served.metadata.height, served.metadata.width)
    sides = [side if side > 0 else example[index % 2] for index, side in enumerate(served.entry.shape[1:])]
    if served.entry.name == "frames":
        sides = [*example, 3]
    if not batched:
        sides = [max(1, served.entry.shape[0]), *sides]
    for count in sorted({1, served.largest_batch}) if batched else [0]:
        tensor = f"data_type: {served.entry.kind}, dims: [ {', '.join(map(str, sides))} ], zero_data: true"
        yield (
            f"model_warmup [ {{ name: {_quote(f'zeros_{count}')}, batch_size: {count}, "
            f"inputs {{ key: {_quote(served.entry.name)}, value {{ {tensor} }} }} }} ]"
        )


def _quote(text: str) -> str:
    """A string of the protobuf text format, of printable ASCII, as JSON and names are."""
    return json.dumps(text)


def _backend(model: Path, wanted: BackendName | None) -> str:
    is_engine = model.suffix.lower() in ENGINES
    if not is_engine and model.suffix.lower() != ".onnx":
        raise ModelError(f"{model} is neither an engine nor an ONNX file; export or build it first.")
    backend = wanted or ("tensorrt" if is_engine else "onnxruntime")
    if (backend == "tensorrt") != is_engine:
        raise InputError(f"Triton's backend {backend} does not read {model.suffix} files.")
    return backend


def _engine(model: Path, options: ServingOptions) -> Served:
    record = read_record(model)
    low, high = record.profile.smallest, record.profile.largest
    height, width = (a if a == b else -1 for a, b in ((low.height, high.height), (low.width, high.width)))
    batched = low.batch < high.batch
    first = -1 if batched else high.batch
    return Served(
        record.model,
        Tensor("image", "TYPE_FP32", (first, 3, height, width)),
        Tensor("blur", "TYPE_FP32", (first, 1, height, width)),
        min(high.batch, options.largest_batch) if batched else 0,
    )


def _onnx(model: Path, options: ServingOptions) -> Served:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(model, load_external_data=False)
    except FileNotFoundError:
        raise ModelError(f"There is no file {model}.") from None
    except (DecodeError, OSError, ValueError) as error:
        raise ModelError(f"{model} is not an ONNX file, or it is damaged.") from error
    if quantises_float16(graph):
        raise ModelError(
            f"{model} quantises float16 tensors, which ONNX Runtime in Triton would round wrongly; "
            "calibrate without --remainder fp16, or deploy an engine built from it."
        )
    texts = [entry.value for entry in graph.metadata_props if entry.key == METADATA_KEY]
    if not texts or not graph.graph.input or not graph.graph.output:
        raise ModelError(f"{model} carries no br2net metadata; make it with `br2net export`.")
    shapes = []
    for end in (graph.graph.input[0], graph.graph.output[0]):
        sides = end.type.tensor_type.shape.dim
        shapes.append(tuple(side.dim_value if side.HasField("dim_value") else -1 for side in sides))
    frames = graph.graph.input[0].name == "frames"
    names = ("frames", "map") if frames else ("image", "blur")
    return Served(
        ModelMetadata.from_json(texts[0], str(model)),
        Tensor(names[0], "TYPE_UINT8" if frames else "TYPE_FP32", shapes[0]),
        Tensor(names[1], "TYPE_FP32", shapes[1]),
        options.largest_batch if shapes[0][0] < 0 else 0,
    )


def _version(folder: Path, model: Path, file: str) -> int:
    """The newest version's number if it is this very file, else the next one."""
    newest = max((int(item.name) for item in folder.glob("*") if item.name.isdecimal()), default=0)
    there = folder / str(newest) / file
    return newest if newest and there.is_file() and sha256_of(there) == sha256_of(model) else newest + 1
