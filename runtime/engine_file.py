"""An engine file: a plain TensorRT plan `x.engine`, and `x.engine.json` beside it, which says what it is.

Everything that would make TensorRT refuse (or crash on) a plan is found out here before it is deserialised.
"""

import hashlib
import json
import struct
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from br2net.errors import ModelError
from br2net.files import written_whole
from br2net.runtime.gpu import Gpu
from br2net.runtime.metadata import ModelMetadata

TENSORRT = "tensorrt"
RTX = "tensorrt_rtx"
_HEADER = struct.Struct("<4s12sQ4B")  # tag, unknown, size of the plan (0 in some versions), version
_NAMES = {TENSORRT: "TensorRT", RTX: "TensorRT for RTX"}


@dataclass(frozen=True)
class Library:
    """Which TensorRT: `flavour` is the name of its Python module, `version` as `11.4.0.106`."""

    flavour: str
    version: str

    def __str__(self) -> str:
        return f"{_NAMES.get(self.flavour, self.flavour)} {self.version}"

    def release(self) -> tuple[int, ...]:
        """Major, minor and patch number."""
        return tuple(int(part) for part in self.version.split(".")[:3])


@dataclass(frozen=True)
class InputShape:
    """Shape of one network input: images per batch, and pixels."""

    batch: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.batch} of {self.width}x{self.height}"

    def sides(self) -> tuple[int, int, int]:
        """Batch, width and height."""
        return self.batch, self.width, self.height


@dataclass(frozen=True)
class Profile:
    """Input shapes that an engine accepts, and the one that it is fastest at."""

    smallest: InputShape
    typical: InputShape
    largest: InputShape

    @classmethod
    def fixed(cls, shape: InputShape) -> "Profile":
        """Only this one shape."""
        return cls(shape, shape, shape)

    def contains(self, shape: InputShape) -> bool:
        """Whether an engine of this profile accepts `shape`."""
        ranges = zip(self.smallest.sides(), shape.sides(), self.largest.sides(), strict=True)
        return all(low <= side <= high for low, side, high in ranges)

    def __str__(self) -> str:
        return str(self.typical) if self.smallest == self.largest else f"{self.smallest} to {self.largest}"


@dataclass(frozen=True)
class PlanHeader:
    """The first bytes of a plan: what can be known of it without loading it.

    Attributes:
        tag: four letters, `ftrt` for TensorRT, `vtrt` for TensorRT for RTX.
        size_bytes: of the whole plan as its header says, 0 where it does not say.
        version: major, minor, patch and build of the TensorRT that wrote it.
    """

    tag: str
    size_bytes: int
    version: tuple[int, int, int, int]

    def version_text(self) -> str:
        """The version as `11.4.0.106`."""
        return ".".join(map(str, self.version))


@dataclass(frozen=True)
class EngineRecord:
    """What the sidecar `x.engine.json` says.

    Attributes:
        model: facts of the network, as in its ONNX file.
        library: TensorRT that built the plan.
        gpu_name: the only GPU model that it is for; empty where it is for whole compute capabilities.
        compute_capabilities: that it is for, as `8.9`; `8.0+` means that one and later ones.
        profile: input shapes that it accepts.
        onnx_name: file name of its ONNX, for the command that rebuilds it.
        onnx_sha256, plan_sha256: hashes of the two files.
        plan_size_bytes: size of the plan.
        version_compatible: whether later versions of the same major number can run it.
        stripped: whether its weights must be filled in from the ONNX before it runs.
        layers: number of layers per precision; empty where the engine could not be loaded after the build.
        figures: measured differences from the ONNX reference, `largest_difference` and `mean_difference`.
    """

    model: ModelMetadata
    library: Library
    gpu_name: str
    compute_capabilities: tuple[str, ...]
    profile: Profile
    onnx_name: str
    onnx_sha256: str
    plan_sha256: str
    plan_size_bytes: int
    version_compatible: bool = False
    stripped: bool = False
    layers: dict[str, int] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """Serialise, the inverse of `from_json`."""
        return json.dumps(asdict(self) | {"model": json.loads(self.model.to_json())}, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str) -> "EngineRecord":
        """Read what `to_json` wrote; fields that a newer version added are ignored.

        Raises:
            ModelError: if the text is not such an object; `source` is named in the sentence.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            known = {item.name for item in fields(cls)}
            values = {key: value for key, value in raw.items() if key in known}
            values["model"] = ModelMetadata.from_json(json.dumps(raw["model"]), source)
            values["library"] = Library(**raw["library"])
            values["compute_capabilities"] = tuple(raw["compute_capabilities"])
            shapes = ("smallest", "typical", "largest")
            values["profile"] = Profile(*(InputShape(**raw["profile"][shape]) for shape in shapes))
            return cls(**values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{source} is damaged ({error}); build the engine again with `br2net build`.") from error

    def built_for(self) -> str:
        """The GPU, or the compute capabilities, that the engine is for."""
        return self.gpu_name or f"compute capability {', '.join(self.compute_capabilities)}"

    def accepts_gpu(self, gpu: Gpu) -> bool:
        """Whether the engine was built for this GPU."""
        if self.gpu_name:
            return gpu.name == self.gpu_name and gpu.compute_capability in self.compute_capabilities
        own = _ordered(gpu.compute_capability)
        return any(
            own >= _ordered(wanted[:-1]) if wanted.endswith("+") else own == _ordered(wanted)
            for wanted in self.compute_capabilities
        )


def record_path(engine: Path) -> Path:
    """Where the sidecar of an engine file is."""
    return engine.with_name(engine.name + ".json")


def parse_plan_header(plan: bytes, source: str) -> PlanHeader:
    """Read the header of a plan.

    Raises:
        ModelError: if the bytes do not begin like a plan.
    """
    if len(plan) < _HEADER.size or plan[1:4] != b"trt":
        raise ModelError(f"{source} is not a TensorRT engine; build it with `br2net build MODEL.onnx -o {source}`.")
    tag, _, size, *version = _HEADER.unpack_from(plan)
    return PlanHeader(tag.decode("ascii", "replace"), size, (version[0], version[1], version[2], version[3]))


def write_engine(engine: Path, plan: bytes, record: EngineRecord) -> None:
    """Write plan and sidecar, both whole or neither.

    The sidecar is renamed last: its hash tells of a plan that is not its own.

    Raises:
        InputError: if they cannot be written.
    """
    with written_whole(record_path(engine)) as sidecar, written_whole(engine) as temporary:
        temporary.write_bytes(plan)
        sidecar.write_text(record.to_json(), encoding="utf-8")


def read_record(engine: Path) -> EngineRecord:
    """Read the sidecar of an engine file.

    Raises:
        ModelError: if it is missing or damaged.
    """
    sidecar = record_path(engine)
    try:
        text = sidecar.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModelError(
            f"{engine} has no {sidecar.name} beside it, so nothing says what it is; copy that file too, or "
            f"build the engine again with `{rebuild_command(engine)}`."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{sidecar} is damaged ({error}); run `{rebuild_command(engine)}`.") from error
    return EngineRecord.from_json(text, str(sidecar))


def read_engine(engine: Path, library: Library, gpu: Gpu) -> tuple[bytes, EngineRecord]:
    """Read a plan that `library` on `gpu` can deserialise.

    Raises:
        ModelError: if there is none, it is truncated or altered, its sidecar is missing or damaged, or it was
            built by another TensorRT or for another GPU. The sentence holds the command that mends it.
    """
    try:
        plan = engine.read_bytes()
    except OSError as error:
        raise ModelError(f"Cannot read {engine} ({error.strerror}); run `{rebuild_command(engine)}`.") from error
    header = parse_plan_header(plan, str(engine))
    record = read_record(engine)
    check_intact(engine, plan, header, record)
    check_library(engine, header, record, library)
    if not record.accepts_gpu(gpu):
        raise ModelError(
            f"{engine} was built for {record.built_for()} and this GPU is {gpu.name} (compute capability "
            f"{gpu.compute_capability}); run `{rebuild_command(engine, record)}` here."
        )
    return plan, record


def check_intact(engine: Path, plan: bytes, header: PlanHeader, record: EngineRecord) -> None:
    """Refuse a plan whose size or hash is not the one that was written.

    Raises:
        ModelError: if so.
    """
    mend = f"copy it again or run `{rebuild_command(engine, record)}`"
    expected = max(header.size_bytes if header.tag == "vtrt" else 0, record.plan_size_bytes)
    if len(plan) < expected:
        raise ModelError(f"{engine} is cut short ({len(plan)} of {expected} bytes); {mend}.")
    if hashlib.sha256(plan).hexdigest() != record.plan_sha256:
        raise ModelError(f"{engine} is not the plan that its sidecar describes; {mend}.")


def check_library(engine: Path, header: PlanHeader, record: EngineRecord, library: Library) -> None:
    """Refuse a plan of another product or version than `library`.

    Raises:
        ModelError: if so.
    """
    built, here = header.version[:3], library.release()
    same = record.library.flavour == library.flavour
    fits = built == here or (record.version_compatible and built[0] == here[0] and built <= here)
    if not (same and fits):
        writer = Library(record.library.flavour, header.version_text())
        raise ModelError(
            f"{engine} was built by {writer} and this is {library}; run `{rebuild_command(engine, record)}` here."
        )


def rebuild_command(engine: Path, record: EngineRecord | None = None) -> str:
    """The command that makes the engine again."""
    return f"br2net build {record.onnx_name if record else 'MODEL.onnx'} -o {engine}"


def _ordered(compute_capability: str) -> tuple[int, ...]:
    """`8.9` as numbers, so that 12.0 is more than 8.9."""
    return tuple(int(part) for part in compute_capability.split("."))
