import ctypes
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from br2net.runtime import InferenceOptions
from br2net.runtime.engine_file import EngineRecord, InputShape, Library, Profile
from br2net.runtime.metadata import IMAGENET, ModelMetadata
from br2net.runtime.native import installed, status
from br2net.runtime.tensorrt import TensorRTBackend
from tests.runtime.cuda.gpu import why_no_tensorrt
from tests.runtime.cuda.host_memory import SCHEDULES, HostMemoryCuda
from tests.runtime.native.emulated import EmulatedCuda, build, pretend_kernels_are_built

from .fake_engine import FakeEngine

WIDTH, HEIGHT = 64, 32
Opener = Callable[..., TensorRTBackend]


def record(
    smallest: int = 1, largest: int = 4, precision: str = "fp32", stripped: bool = False, typical: int = 0
) -> EngineRecord:
    """A sidecar of the tiny model."""
    metadata = ModelMetadata("tiny", "{}", "none", WIDTH, HEIGHT, IMAGENET, precision=precision)
    return EngineRecord(
        metadata, Library("tensorrt", "10.3.0"), "Host Memory", ("8.7",), profile(smallest, largest, typical),
        "tiny.onnx", "", "", 0, stripped=stripped,
    )  # fmt: skip


def profile(smallest: int, largest: int, typical: int = 0) -> Profile:
    shapes = [InputShape(count, WIDTH, HEIGHT) for count in (smallest, typical or largest)]
    return Profile(shapes[0], shapes[1], InputShape(largest, 2 * WIDTH, HEIGHT))


@pytest.fixture(scope="session")
def kernels_library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The CUDA kernels compiled for the CPU."""
    if not status().built or shutil.which("c++") is None:
        pytest.skip("the native part is not compiled, or there is no C++ compiler")
    return build(tmp_path_factory.mktemp("kernels"))


@pytest.fixture
def emulated(kernels_library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> Callable[..., EmulatedCuda]:
    """Make a GPU in host memory that runs the kernels."""
    if not installed.FATBIN.is_file():
        pretend_kernels_are_built(monkeypatch)

    def make(**options: Any) -> EmulatedCuda:
        device = EmulatedCuda(**options)
        device.library = kernels_library
        return device

    return make


@pytest.fixture(params=[*SCHEDULES, pytest.param("gpu", marks=pytest.mark.gpu)])
def open_engine(
    request: pytest.FixtureRequest, tiny_onnx: Path, tmp_path: Path, emulated: Callable[..., EmulatedCuda]
) -> Iterator[Opener]:
    """Opens the tiny model as an engine: in host memory, at three schedules, and on a GPU by TensorRT."""
    with ExitStack() as stack:

        def fake(
            smallest: int = 1,
            largest: int = 4,
            typical: int = 0,
            kernels: bool = True,
            graphs: bool = True,
            half: bool = False,
            **options: Any,
        ) -> TensorRTBackend:
            engine = FakeEngine(tiny_onnx, half=half)
            device = engine.new_device(emulated if kernels else HostMemoryCuda, schedule=request.param)
            sidecar = record(smallest, largest, typical=typical)
            return stack.enter_context(
                TensorRTBackend(device, engine, sidecar, InferenceOptions(**options), graphs=graphs)
            )

        def real(
            smallest: int = 1,
            largest: int = 4,
            typical: int = 0,
            kernels: bool = True,
            graphs: bool = True,
            half: bool = False,
            **options: Any,
        ) -> TensorRTBackend:
            from br2net.builder.engine import BuildOptions, build_engine

            if not kernels or half:
                pytest.skip("a GPU has the kernels, and this engine is float32")
            path = tmp_path / f"{smallest}-{typical}-{largest}.engine"
            if not path.exists():
                build_engine(tiny_onnx, path, BuildOptions(profile=profile(smallest, largest, typical)))
            backend = TensorRTBackend.load(path, InferenceOptions(**options), graphs=graphs)
            return stack.enter_context(backend)

        if request.param == "gpu" and why_no_tensorrt():
            pytest.skip(why_no_tensorrt())
        yield real if request.param == "gpu" else fake
