"""From an engine file to a backend, with a stand-in for TensorRT: what is checked, in which order, and what is left."""

import enum
import hashlib
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from br2net.errors import BackendError, InputError, ModelError, OutOfMemoryError
from br2net.runtime import InferenceOptions, open_backend
from br2net.runtime.engine_file import EngineRecord, Library, record_path, write_engine
from br2net.runtime.gpu import Gpu

from ..frames import maps_of, network_input, noise_frames
from .conftest import HEIGHT, WIDTH, record
from .fake_engine import FakeEngine, by_onnx_runtime

HERE = Gpu("Host Memory", "8.7")
BUILT = Library("tensorrt", "10.3.0")
USERS = [f"br2net.runtime.tensorrt.{name}" for name in ("api", "log", "plan")]


class DataType(enum.Enum):
    FLOAT = 0
    HALF = 1
    INT8 = 2


class TensorIOMode(enum.Enum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class Severity(enum.Enum):
    INTERNAL_ERROR = 0
    ERROR = 1
    VERBOSE = 4


class ILogger:
    Severity = Severity

    def __init__(self) -> None:
        self.made = True

    def log(self, severity: Severity, msg: str) -> None: ...


@dataclass
class StandIn:
    """TensorRT, as far as a plan is loaded by it, and what it was asked."""

    engine: FakeEngine
    tensors: dict[str, tuple[TensorIOMode, DataType]] = field(
        default_factory=lambda: {
            "image": (TensorIOMode.INPUT, DataType.FLOAT),
            "blur": (TensorIOMode.OUTPUT, DataType.FLOAT),
        }
    )
    says: str = ""
    starts: bool = True
    makes_contexts: bool = True
    loaded: list[bytes] = field(default_factory=list)
    runtime: Any = None

    def module(self) -> Any:
        """What `br2net.runtime.tensorrt.api` offers as `trt`."""

        def runtime(logger: ILogger) -> Any:
            def deserialize(plan: bytes) -> Any:
                self.loaded.append(plan)
                if self.says and self.makes_contexts:
                    logger.log(Severity.ERROR, self.says)
                    return None
                return SimpleNamespace(
                    num_io_tensors=len(self.tensors),
                    get_tensor_name=lambda index: list(self.tensors)[index],
                    get_tensor_dtype=lambda name: self.tensors[name][1],
                    get_tensor_mode=lambda name: self.tensors[name][0],
                    create_execution_context=lambda: self.context(logger),
                )

            if not self.starts:
                logger.log(Severity.ERROR, self.says)
                raise TypeError("pybind11::init(): factory function returned nullptr")
            self.runtime = SimpleNamespace(deserialize_cuda_engine=deserialize)
            return self.runtime

        return SimpleNamespace(ILogger=ILogger, DataType=DataType, TensorIOMode=TensorIOMode, Runtime=runtime)

    def context(self, logger: ILogger) -> Any:
        if not self.makes_contexts:
            logger.log(Severity.ERROR, self.says)
            return None
        return self.engine.new_context()


@pytest.fixture
def stand_in(tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """TensorRT 10.3.0 and a GPU in host memory."""
    made = StandIn(FakeEngine(tiny_onnx))
    for name in USERS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    api = ModuleType(USERS[0])
    vars(api).update(trt=made.module(), library=lambda: BUILT)
    monkeypatch.setitem(sys.modules, USERS[0], api)
    monkeypatch.setattr("br2net.runtime.tensorrt.session.open_cuda", lambda index: made.engine.new_device(gpu=HERE))
    yield made
    for name in USERS[1:]:
        sys.modules.pop(name, None)


def write(folder: Path, **changed: Any) -> Path:
    """An engine file of the tiny model."""
    body = b"weights" * 9
    plan = b"ftrt" + bytes(12) + struct.pack("<Q", 28 + len(body)) + bytes((10, 3, 0, 26)) + body
    facts: EngineRecord = replace(
        record(), plan_sha256=hashlib.sha256(plan).hexdigest(), plan_size_bytes=len(plan), **changed
    )
    write_engine(folder / "x.engine", plan, facts)
    return folder / "x.engine"


def nothing_is_left(stand_in: StandIn) -> bool:
    return all(device.is_closed and not device.in_use() for device in stand_in.engine.devices)


def test_an_engine_is_loaded_and_runs(stand_in: StandIn, tiny_onnx: Path, tmp_path: Path) -> None:
    frames = noise_frames(3, HEIGHT, WIDTH)
    with open_backend(write(tmp_path)) as backend:
        assert (backend.name, backend.device, backend.precision) == ("tensorrt", "Host Memory", "fp32")
        assert np.abs(maps_of(backend, frames) - by_onnx_runtime(tiny_onnx, network_input(frames))).max() < 1e-5
    assert len(stand_in.loaded) == 1
    assert nothing_is_left(stand_in)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"gpu_name": "Orin"}, "built for Orin and this GPU is Host Memory"),
        ({"library": Library("tensorrt_rtx", "1.7.1")}, "this is TensorRT 10.3.0"),
        ({"stripped": True}, "no weights yet"),
    ],
)
def test_an_engine_of_another_machine_is_refused_before_tensorrt_sees_it(
    stand_in: StandIn, tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        open_backend(write(tmp_path, **changed))
    assert stand_in.loaded == [] and nothing_is_left(stand_in)


def test_an_altered_plan_is_refused_before_tensorrt_sees_it(stand_in: StandIn, tmp_path: Path) -> None:
    engine = write(tmp_path)
    engine.write_bytes(engine.read_bytes()[:-1] + b"!")
    with pytest.raises(ModelError, match="not the plan that its sidecar describes"):
        open_backend(engine)
    record_path(engine).unlink()
    with pytest.raises(ModelError, match=r"has no x\.engine\.json beside it"):
        open_backend(engine)
    assert stand_in.loaded == [] and nothing_is_left(stand_in)


def test_an_option_that_the_engine_has_not_is_refused_before_tensorrt_sees_it(
    stand_in: StandIn, tmp_path: Path
) -> None:
    for options in (InferenceOptions(precision="int8"), InferenceOptions(size=(64, 64)), InferenceOptions("cpu")):
        with pytest.raises(InputError):
            open_backend(write(tmp_path), options=options)
    assert stand_in.loaded == [] and nothing_is_left(stand_in)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"image": (TensorIOMode.INPUT, DataType.FLOAT)}, "no br2net engine"),
        (
            {"x": (TensorIOMode.INPUT, DataType.FLOAT), "blur": (TensorIOMode.OUTPUT, DataType.FLOAT)},
            "no br2net engine",
        ),
        ({"image": (TensorIOMode.INPUT, DataType.INT8)}, "image of INT8"),
    ],
)
def test_an_engine_of_another_network_is_refused(
    stand_in: StandIn, tmp_path: Path, tensors: dict[str, Any], words: str
) -> None:
    stand_in.tensors = tensors
    with pytest.raises(ModelError, match=words):
        open_backend(write(tmp_path))
    assert nothing_is_left(stand_in)


@pytest.mark.parametrize("makes_contexts", [True, False], ids=["the engine", "its execution context"])
@pytest.mark.parametrize(
    ("says", "kind", "words"),
    [
        ("Cuda Runtime (out of memory)", OutOfMemoryError, "ran out of memory"),
        ("Serialization assertion failed", BackendError, "Serialization assertion failed"),
    ],
)
def test_what_tensorrt_does_not_make_is_one_sentence_and_nothing_is_left(
    stand_in: StandIn, tmp_path: Path, makes_contexts: bool, says: str, kind: type[Exception], words: str
) -> None:
    stand_in.says, stand_in.makes_contexts = says, makes_contexts
    with pytest.raises(kind, match=words):
        open_backend(write(tmp_path))
    assert nothing_is_left(stand_in)


def test_tensorrt_that_does_not_start_is_one_sentence(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.starts, stand_in.says = False, "CUDA initialization failure with error: 35"
    with pytest.raises(BackendError, match=r"starting TensorRT.*error: 35"):
        open_backend(write(tmp_path))
    assert nothing_is_left(stand_in)


@pytest.mark.parametrize("compatible", [True, False])
def test_code_of_the_cpu_is_allowed_in_version_compatible_plans_alone(
    stand_in: StandIn, tmp_path: Path, compatible: bool
) -> None:
    with open_backend(write(tmp_path, version_compatible=compatible)):
        assert getattr(stand_in.runtime, "engine_host_code_allowed", False) == compatible


def test_the_first_request_is_made_at_once(stand_in: StandIn, tmp_path: Path) -> None:
    with open_backend(write(tmp_path)):
        assert len(stand_in.engine.contexts) == 1


def test_an_engine_that_was_never_closed_is_closed_before_the_process_ends(stand_in: StandIn, tmp_path: Path) -> None:
    from br2net.runtime.tensorrt import session

    backend = open_backend(write(tmp_path))
    assert backend in session._open
    for item in list(session._open):
        item.close()
    assert nothing_is_left(stand_in)
