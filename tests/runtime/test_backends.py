"""Every backend gives the same map, says what it computes in, and refuses what it cannot do."""

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from br2net.builder.export import ExportOptions, export_onnx
from br2net.errors import BackendError, InputError, MissingDependencyError, ModelError
from br2net.network import BR2Net, BR2NetConfig, Checkpoint, load_checkpoint, save_checkpoint
from br2net.network.checkpoint import ModelFacts
from br2net.runtime import InferenceOptions, open_backend
from br2net.runtime.backend import detect
from br2net.runtime.onnxruntime import open_session
from br2net.runtime.postprocessing import Wanted
from br2net.types import Batch, Frame, PixelFormat

from .frames import maps_of, network_input, noise_frames

OnnxMaker = Callable[..., Path]
FP32 = InferenceOptions(precision="fp32")
ONNX_BACKENDS = ("openvino", "onnxruntime")


def by_reference(path: Path, frames: Sequence[Frame]) -> Batch:
    """The ONNX project's own evaluator, in NumPy."""
    batch = network_input(frames)
    results: Any = ReferenceEvaluator(onnx.load(path)).run(None, {"image": batch})
    return np.asarray(results[0], dtype=np.float32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow `mobile` network of random weights, large enough that its maps are lively."""
    import torch

    torch.manual_seed(0)
    config = BR2NetConfig(backbone="mobilenet_v2", backbone_norm="folded", width=4, l2h_level=1, h2l_level=3)
    network = BR2Net(config).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, std=1.5 / module.weight[0].numel() ** 0.5)
    path = tmp_path_factory.mktemp("checkpoint") / "narrow.pth"
    save_checkpoint(path, Checkpoint(network, ModelFacts("narrow", width=64, height=32)))
    return path


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> Path:
    """The same as ONNX of any batch size."""
    path = checkpoint.with_suffix(".onnx")
    export_onnx(load_checkpoint(checkpoint), path, ExportOptions(batch=None))
    return path


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_a_backend_gives_the_maps_of_the_onnx_file(tiny_onnx: Path, backend: str) -> None:
    frames = noise_frames(3)
    with open_backend(tiny_onnx, backend, FP32) as engine:
        result = maps_of(engine, frames)
        assert (engine.name, engine.precision, engine.device) == (backend, "fp32", "CPU")
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, by_reference(tiny_onnx, frames), atol=1e-4)


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_an_exported_network_gives_the_map_of_its_checkpoint(checkpoint: Path, exported: Path, backend: str) -> None:
    frames = noise_frames(3)
    with open_backend(checkpoint) as reference, open_backend(exported, backend, FP32) as engine:
        assert reference.name == "torch"
        expected = maps_of(reference, frames)
        assert expected.std() > 0.1  # a map, and not one flat value that any network would give
        np.testing.assert_allclose(maps_of(engine, frames), expected, atol=1e-4)


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_another_input_size_is_taken_where_the_file_leaves_it_open(tiny_onnx: Path, backend: str) -> None:
    frames = noise_frames(1, 64, 96)
    with open_backend(tiny_onnx, backend, InferenceOptions(precision="fp32", size=(96, 64))) as engine:
        np.testing.assert_allclose(maps_of(engine, frames), by_reference(tiny_onnx, frames), atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_a_model_of_fixed_batch_size_is_run_in_parts(make_onnx: OnnxMaker, backend: str, count: int) -> None:
    frames = noise_frames(count)
    with open_backend(make_onnx(batch=2, height=32, width=64), backend, FP32) as engine:
        result = maps_of(engine, frames)
    np.testing.assert_allclose(result, by_reference(make_onnx("any.onnx"), frames), atol=1e-4)


def test_batch_sizes_beyond_those_that_are_kept_give_the_same(tiny_onnx: Path) -> None:
    frames = noise_frames(6)
    expected = by_reference(tiny_onnx, frames)
    with open_backend(tiny_onnx, "openvino", FP32) as engine:
        for count in (1, 2, 3, 4, 5, 6, 1):
            np.testing.assert_allclose(maps_of(engine, frames[:count]), expected[:count], atol=1e-4)


def test_a_result_is_not_overwritten_by_the_next_call(tiny_onnx: Path) -> None:
    frames = noise_frames(2)
    with open_backend(tiny_onnx, "openvino", FP32) as engine:
        first = maps_of(engine, frames[:1])
        before = first.copy()
        maps_of(engine, frames[1:])
    np.testing.assert_array_equal(first, before)


def test_openvino_says_that_it_computes_in_bf16_where_it_does(tiny_onnx: Path) -> None:
    import openvino

    frames = noise_frames(1)
    has_bf16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    with open_backend(tiny_onnx) as engine:
        difference = np.abs(maps_of(engine, frames) - by_reference(tiny_onnx, frames)).max()
        assert (engine.name, engine.precision) == ("openvino", "bf16" if has_bf16 else "fp32")
    assert difference < (0.05 if has_bf16 else 1e-4)
    assert (difference > 1e-5) == has_bf16


def test_openvino_refuses_a_precision_that_this_cpu_does_not_compute_in(tiny_onnx: Path) -> None:
    import openvino

    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    lacking = [name for name in ("fp16", "bf16") if name.upper() not in capabilities]
    if not lacking:
        pytest.skip("this CPU computes in every precision")
    with pytest.raises(InputError, match=rf"computes .*tiny\.onnx in \w+ on this CPU, not in {lacking[0]}\.$"):
        open_backend(tiny_onnx, "openvino", InferenceOptions(precision=lacking[0]))


@pytest.mark.parametrize(
    ("pixels", "shape"), [(PixelFormat.BGR, (32, 64)), (PixelFormat.NV12, (47, 64)), (PixelFormat.YUYV, (32, 63, 2))]
)
def test_a_frame_of_another_layout_is_refused(tiny_onnx: Path, pixels: PixelFormat, shape: tuple[int, ...]) -> None:
    with (
        open_backend(tiny_onnx, "onnxruntime", FP32) as engine,
        engine.request() as request,
        pytest.raises(InputError, match=f"A {pixels.name} frame must be uint8"),
    ):
        request.prepare([np.zeros(shape, np.uint8)], pixels)


def test_more_frames_than_a_request_takes_and_none_are_refused(make_onnx: OnnxMaker) -> None:
    with open_backend(make_onnx(batch=2, height=32, width=64), "onnxruntime", FP32) as engine:
        with pytest.raises(InputError, match="takes 1 to 2 frames, got 3"):
            engine.request(3)
        with engine.request() as request, pytest.raises(InputError, match="takes 1 to 2 frames, got 0"):
            request.prepare([])


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_a_request_is_used_again_and_released_once(tiny_onnx: Path, backend: str) -> None:
    with open_backend(tiny_onnx, backend, FP32) as engine:
        first = engine.request()
        other = engine.request()
        first.release()
        first.release()
        assert engine.request() is first
        assert engine.request() not in (first, other)


def test_a_request_that_cannot_be_made_is_waited_for(tiny_onnx: Path) -> None:
    with open_backend(tiny_onnx, "onnxruntime", FP32) as engine:
        engine.max_requests = 1
        held = engine.request()
        assert engine.try_request() is None
        waited: list[object] = []
        thread = threading.Thread(target=lambda: waited.append(engine.request()))
        thread.start()
        held.release()
        thread.join()
        assert waited == [held]


def test_a_list_of_frames_never_waits_for_its_own_requests(tiny_onnx: Path) -> None:
    frames = noise_frames(40)
    with open_backend(tiny_onnx, "onnxruntime", FP32) as engine:
        engine.depth, engine.max_requests = 3, 1
        np.testing.assert_allclose(maps_of(engine, frames), by_reference(tiny_onnx, frames), atol=1e-4)


def test_a_request_in_use_outlives_close(tiny_onnx: Path) -> None:
    frames = noise_frames(1)
    for backend in ONNX_BACKENDS:
        engine = open_backend(tiny_onnx, backend, FP32)
        with engine.request() as request:
            request.prepare(frames)
            engine.close()
            request.run()
            (outputs,) = request.finish()
        assert outputs.map is not None
        np.testing.assert_allclose(outputs.map, by_reference(tiny_onnx, frames)[0, 0], atol=1e-4)


@pytest.mark.parametrize("backend", [*ONNX_BACKENDS, "torch"])
def test_closing_twice_does_no_harm_and_a_closed_model_says_so(tiny_onnx: Path, checkpoint: Path, backend: str) -> None:
    with open_backend(checkpoint if backend == "torch" else tiny_onnx, backend, FP32) as engine:
        engine.close()
        with pytest.raises(BackendError, match="is closed"):
            maps_of(engine, noise_frames(1))


@pytest.mark.parametrize(
    ("backend", "options", "sentence"),
    [
        ("tensorflow", {}, "There is no backend tensorflow; there are tensorrt, openvino"),
        ("torch", {}, r"The backend torch does not read \.onnx files"),
        ("openvino", {"device": "toaster"}, "OpenVINO has no device TOASTER here; it has .*CPU"),
        ("onnxruntime", {"device": "toaster"}, "ONNX Runtime has no device toaster here; it has .*cpu"),
        ("openvino", {"precision": "int8"}, "int8 is a property of the file"),
        ("onnxruntime", {"precision": "bf16"}, r"computes .*tiny\.onnx in fp32, as the file says; not bf16"),
        ("openvino", {"size": (100, 64)}, "multiples of 32"),
    ],
)
def test_what_a_backend_cannot_do_is_one_sentence(
    tiny_onnx: Path, backend: str, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        open_backend(tiny_onnx, backend, InferenceOptions(**options))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"device": "toaster"}, "PyTorch has no device toaster here"),
        ({"precision": "bf16"}, "computes in fp32, not bf16"),
        ({"size": (100, 64)}, "multiples of 32"),
    ],
)
def test_what_the_torch_backend_cannot_do_is_one_sentence(
    checkpoint: Path, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        open_backend(checkpoint, "torch", InferenceOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_a_checkpoint_is_read_by_torch_alone(checkpoint: Path, backend: str) -> None:
    with pytest.raises(InputError, match=rf"The backend {backend} does not read \.pth files"):
        open_backend(checkpoint, backend)


def test_a_precision_that_is_nowhere_is_refused() -> None:
    with pytest.raises(InputError, match="Unknown precision 'fp7'"):
        InferenceOptions(precision="fp7")


def test_the_threads_that_were_asked_for_are_known_to_what_comes_before_and_after(tiny_onnx: Path) -> None:
    assert open_backend(tiny_onnx, "openvino", InferenceOptions(threads=1)).threads == 1


def test_a_negative_number_of_threads_is_refused() -> None:
    with pytest.raises(InputError, match=r"threads must be 0 .* got -1"):
        InferenceOptions(threads=-1)


@pytest.mark.parametrize(
    ("backend", "package", "sentence"),
    [
        ("openvino", "openvino", "`pip install openvino`"),
        ("onnxruntime", "onnxruntime", r"`pip install 'br2net\[onnxruntime\]'`"),
        ("torch", "torch", r"`pip install 'br2net\[build\]'`"),
    ],
)
def test_a_missing_package_is_named_with_its_pip_line(
    tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, package: str, sentence: str
) -> None:
    path = tiny_onnx
    if backend == "torch":
        path = tmp_path / "x.pth"
        path.touch()
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(MissingDependencyError, match=sentence):
        open_backend(path, backend)


def test_a_missing_model_and_a_file_of_another_kind_are_named(tmp_path: Path) -> None:
    (tmp_path / "model.txt").touch()
    with pytest.raises(ModelError, match=r"There is no file .*x\.onnx"):
        open_backend(tmp_path / "x.onnx")
    with pytest.raises(ModelError, match=r"model\.txt is no model file"):
        open_backend(tmp_path / "model.txt")


def test_the_suffix_may_be_in_capitals(tiny_onnx: Path) -> None:
    with open_backend(tiny_onnx.rename(tiny_onnx.with_suffix(".ONNX")), "auto", FP32) as engine:
        assert engine.name == "openvino"


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_a_graph_that_the_engine_cannot_load_is_a_backend_error(tiny_onnx: Path, backend: str) -> None:
    model = onnx.load(tiny_onnx)
    model.graph.node[0].op_type = "Nonsense"
    onnx.save(model, tiny_onnx)
    with pytest.raises(BackendError, match=r"cannot load .*tiny\.onnx"):
        open_backend(tiny_onnx, backend, FP32)


def test_openvino_computes_in_several_threads_at_once_what_it_computes_in_one(tiny_onnx: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    batches = [noise_frames(1, seed=seed) for seed in range(12)]
    with open_backend(tiny_onnx, "openvino", InferenceOptions(precision="fp32", streams=3)) as backend:
        assert backend.concurrency == 3
        with ThreadPoolExecutor(backend.concurrency) as threads:
            maps = list(threads.map(lambda frames: maps_of(backend, frames), batches))
    for frames, blur in zip(batches, maps, strict=True):
        np.testing.assert_allclose(blur, by_reference(tiny_onnx, frames), atol=1e-5)


@pytest.mark.parametrize("name", ["x.engine", "x.plan"])
def test_only_tensorrt_reads_an_engine(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"ftrt" + bytes(60))
    for backend in ("openvino", "onnxruntime", "torch"):
        with pytest.raises(InputError, match=f"{backend} does not read"):
            open_backend(tmp_path / name, backend)


def test_tensorrt_reads_nothing_but_engines(tiny_onnx: Path, checkpoint: Path) -> None:
    for path in (tiny_onnx, checkpoint):
        with pytest.raises(InputError, match="tensorrt does not read"):
            open_backend(path, "tensorrt")


@pytest.mark.parametrize("device", ["auto", "cuda:7"])
def test_an_engine_without_a_gpu_is_one_sentence(tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("br2net.runtime.cuda.opening.find_gpu", lambda index=0: None)
    (tmp_path / "x.engine").write_bytes(b"ftrt" + bytes(60))
    with pytest.raises(BackendError, match="no NVIDIA GPU or driver here"):
        open_backend(tmp_path / "x.engine", options=InferenceOptions(device))


def test_only_tensorrt_keeps_maps_in_gpu_memory(tiny_onnx: Path) -> None:
    with open_backend(tiny_onnx, "onnxruntime") as backend, pytest.raises(InputError, match="no maps in GPU memory"):
        detect(backend, noise_frames(1), Wanted.DEVICE_MAP)


def test_a_session_is_opened_of_a_file_and_of_bytes(tiny_onnx: Path) -> None:
    batch = network_input(noise_frames(2))
    for model in (tiny_onnx, tiny_onnx.read_bytes()):
        (maps,) = open_session(model, threads=1).run(["blur"], {"image": batch})
        np.testing.assert_allclose(maps, by_reference(tiny_onnx, noise_frames(2)), atol=1e-4)
    with pytest.raises(BackendError, match="cannot load a model"):
        open_session(b"nonsense")


def test_openvino_models_of_few_threads_are_not_put_on_the_same_processor(
    tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino

    compiled = []
    compile_model = openvino.Core.compile_model

    def noted(*arguments: object) -> object:
        compiled.append(compile_model(*arguments))
        return compiled[-1]

    monkeypatch.setattr(openvino.Core, "compile_model", noted)
    for threads in (0, 1):
        with open_backend(tiny_onnx, "openvino", InferenceOptions(threads=threads)):
            pass
    pinned = [model.get_property("ENABLE_CPU_PINNING") for model in compiled]
    assert pinned[-1] is False


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_signal_after_two_openvino_models_are_gone_reaches_python(tiny_onnx: Path) -> None:
    """Each model's own core once left the thread a stack for signal handlers that was freed, and the process crashed."""
    program = f"""
import gc, signal
from pathlib import Path
from br2net.runtime import open_backend
models = [open_backend(Path({str(tiny_onnx)!r}), "openvino") for _ in range(2)]
while models:
    models.pop(0).close()
gc.collect()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("reached")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "reached\n", "")
