"""The GPU benchmark's calls, in host memory under CUDA's rules; its figures need a GPU."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from br2net.benchmarks import gpu
from br2net.errors import Br2netError
from br2net.runtime import InferenceOptions
from br2net.runtime.metadata import IMAGENET
from br2net.runtime.native import status
from br2net.runtime.tensorrt import TensorRTBackend
from tests.runtime.cuda.gpu import why_no_gpu
from tests.runtime.native.emulated import EmulatedCuda, build
from tests.runtime.tensorrt.conftest import record
from tests.runtime.tensorrt.fake_engine import FakeEngine


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(gpu, "ROUNDS", 2)
    monkeypatch.setattr(gpu, "WARM_UP", 1)
    yield


@pytest.mark.parametrize("can_capture", [True, False])
def test_an_engine_is_timed_enqueued_and_as_a_graph(tiny_onnx: Path, can_capture: bool) -> None:
    engine = FakeEngine(tiny_onnx)
    device = engine.new_device(can_capture=can_capture)
    times = gpu.time_engine(device, engine, 2, 64, 32)
    assert times.enqueue_ms > 0.0 and (times.graph_ms > 0.0) == can_capture
    assert times.frames_per_second() > 0.0
    device.close()
    assert device.in_use() == []


def test_the_pipeline_runs_every_frame(tiny_onnx: Path) -> None:
    engine = FakeEngine(tiny_onnx)
    with TensorRTBackend.of_parts(engine.new_device, engine, record(), InferenceOptions()) as backend:
        assert gpu.time_pipeline(backend, 2, frames=20) > 0.0
        assert sum(context.enqueued for context in engine.contexts) >= 4  # the rest are replays of graphs


def test_both_ways_from_a_frame_to_its_map_are_timed(tiny_onnx: Path) -> None:
    engine = FakeEngine(tiny_onnx)
    with TensorRTBackend.of_parts(engine.new_device, engine, record(), InferenceOptions()) as backend:
        assert isinstance(backend, TensorRTBackend)
        times = gpu.time_frames(backend)
    assert set(times) == {"by_kernels", "by_cpu"} and min(times.values()) > 0.0


def test_the_kernels_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (status().built and status().fatbin_architectures):
        pytest.skip("the CUDA kernels were not compiled")
    monkeypatch.setattr(gpu, "WIDTH", 96)
    monkeypatch.setattr(gpu, "HEIGHT", 54)
    monkeypatch.setattr(gpu, "REPEATS", 2)
    device = EmulatedCuda()
    try:
        device.library = build(tmp_path)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no C++ compiler")
    with device:
        times = gpu.time_kernels(device, 64, 32, IMAGENET)
    assert set(times) == {"preprocess", "postprocess"} and min(times.values()) > 0.0


@pytest.mark.skipif(not why_no_gpu(), reason="there is a GPU here")
def test_without_a_gpu_it_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Br2netError, match="no NVIDIA GPU"):
        gpu.measure(tmp_path / "x.engine")
