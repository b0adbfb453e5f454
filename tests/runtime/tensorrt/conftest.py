from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from br2net.runtime import InferenceOptions
from br2net.runtime.engine_file import EngineRecord, InputShape, Library, Profile
from br2net.runtime.metadata import IMAGENET, ModelMetadata
from br2net.runtime.tensorrt import TensorRTBackend
from tests.runtime.cuda.gpu import why_no_tensorrt
from tests.runtime.cuda.host_memory import SCHEDULES

from .fake_engine import FakeEngine

WIDTH, HEIGHT = 64, 32
Opener = Callable[..., TensorRTBackend]


def record(smallest: int = 1, largest: int = 4, precision: str = "fp32", stripped: bool = False) -> EngineRecord:
    """A sidecar of the tiny model."""
    metadata = ModelMetadata("tiny", "{}", "none", WIDTH, HEIGHT, IMAGENET, precision=precision)
    shapes = [InputShape(count, WIDTH, HEIGHT) for count in (smallest, largest, largest)]
    profile = Profile(shapes[0], shapes[1], InputShape(largest, 2 * WIDTH, HEIGHT))
    return EngineRecord(
        metadata, Library("tensorrt", "10.3.0"), "Host Memory", ("8.7",), profile, "tiny.onnx", "", "", 0,
        stripped=stripped,
    )  # fmt: skip


@pytest.fixture(params=[*SCHEDULES, pytest.param("gpu", marks=pytest.mark.gpu)])
def open_engine(request: pytest.FixtureRequest, tiny_onnx: Path, tmp_path: Path) -> Iterator[Opener]:
    """Opens the tiny model as an engine: in host memory, at three schedules, and on a GPU by TensorRT.

    `graphs`, `integrated` and the batch sizes are asked for by name; a GPU that is not as asked is skipped.
    """
    with ExitStack() as stack:

        def fake(
            smallest: int = 1,
            largest: int = 4,
            graphs: bool = True,
            integrated: bool | None = None,
            size: tuple[int, int] | None = None,
            streams: int = 1,
        ) -> TensorRTBackend:
            engine = FakeEngine(tiny_onnx)
            backend = TensorRTBackend.of_parts(
                lambda: engine.new_device(schedule=request.param, integrated=bool(integrated)),
                engine,
                record(smallest, largest),
                InferenceOptions(size=size, streams=streams),
                graphs=graphs,
            )
            return stack.enter_context(backend)

        def real(
            smallest: int = 1,
            largest: int = 4,
            graphs: bool = True,
            integrated: bool | None = None,
            size: tuple[int, int] | None = None,
            streams: int = 1,
        ) -> TensorRTBackend:
            from br2net.builder.engine import BuildOptions, build_engine

            path = tmp_path / f"{smallest}-{largest}.engine"
            if not path.exists():
                shapes = [InputShape(smallest, WIDTH, HEIGHT), InputShape(largest, WIDTH, HEIGHT)]
                profile = Profile(shapes[0], shapes[1], InputShape(largest, 2 * WIDTH, HEIGHT))
                build_engine(tiny_onnx, path, BuildOptions(profile=profile))
            options = InferenceOptions(size=size, streams=streams)
            backend = stack.enter_context(TensorRTBackend(path, options, graphs=graphs))
            assert isinstance(backend, TensorRTBackend)
            if integrated not in (None, backend._runners[0]._cuda.integrated):
                pytest.skip(f"this GPU is {'not ' if integrated else ''}integrated")
            return backend

        if request.param == "gpu" and why_no_tensorrt():
            pytest.skip(why_no_tensorrt())
        yield real if request.param == "gpu" else fake
