"""Every backend gives the same map, says what it computes in, and refuses what it cannot do."""

import subprocess
import sys
from collections.abc import Callable
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
from br2net.types import Batch

OnnxMaker = Callable[..., Path]
FP32 = InferenceOptions(precision="fp32")
ONNX_BACKENDS = ("openvino", "onnxruntime")


def a_batch(count: int, height: int = 32, width: int = 64) -> Batch:
    return np.random.default_rng(8).normal(size=(count, 3, height, width)).astype(np.float32)


def by_reference(path: Path, batch: Batch) -> Batch:
    """The ONNX project's own evaluator, in NumPy."""
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
def test_a_backend_computes_what_the_onnx_file_says(tiny_onnx: Path, backend: str) -> None:
    batch = a_batch(3)
    with open_backend(tiny_onnx, backend, FP32) as engine:
        result = engine.infer(batch)
        assert (engine.name, engine.precision, engine.device) == (backend, "fp32", "CPU")
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, by_reference(tiny_onnx, batch), atol=1e-4)


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_an_exported_network_gives_the_map_of_its_checkpoint(checkpoint: Path, exported: Path, backend: str) -> None:
    batch = a_batch(3)
    with open_backend(checkpoint) as reference, open_backend(exported, backend, FP32) as engine:
        assert reference.name == "torch"
        expected = reference.infer(batch)
        assert expected.std() > 0.1  # a map, and not one flat value that any network would give
        np.testing.assert_allclose(engine.infer(batch), expected, atol=1e-4)


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_another_input_size_is_taken_where_the_file_leaves_it_open(tiny_onnx: Path, backend: str) -> None:
    batch = a_batch(1, 64, 96)
    with open_backend(tiny_onnx, backend, InferenceOptions(precision="fp32", size=(96, 64))) as engine:
        np.testing.assert_allclose(engine.infer(batch), by_reference(tiny_onnx, batch), atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_a_model_of_fixed_batch_size_is_run_in_parts(make_onnx: OnnxMaker, backend: str, count: int) -> None:
    batch = a_batch(count)
    with open_backend(make_onnx(batch=2, height=32, width=64), backend, FP32) as engine:
        result = engine.infer(batch)
    np.testing.assert_allclose(result, by_reference(make_onnx("any.onnx"), batch), atol=1e-4)


def test_batch_sizes_beyond_those_that_are_kept_give_the_same(tiny_onnx: Path) -> None:
    batch = a_batch(6)
    expected = by_reference(tiny_onnx, batch)
    with open_backend(tiny_onnx, "openvino", FP32) as engine:
        for count in (1, 2, 3, 4, 5, 6, 1):
            np.testing.assert_allclose(engine.infer(batch[:count]), expected[:count], atol=1e-4)


def test_a_result_is_not_overwritten_by_the_next_call(tiny_onnx: Path) -> None:
    batch = a_batch(2)
    with open_backend(tiny_onnx, "openvino", FP32) as engine:
        first = engine.infer(batch[:1])
        before = first.copy()
        engine.infer(batch[1:])
    np.testing.assert_array_equal(first, before)


def test_openvino_says_that_it_computes_in_bf16_where_it_does(tiny_onnx: Path) -> None:
    import openvino

    batch = a_batch(1)
    has_bf16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    with open_backend(tiny_onnx) as engine:
        difference = np.abs(engine.infer(batch) - by_reference(tiny_onnx, batch)).max()
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


@pytest.mark.parametrize("shape", [(3, 32, 64), (0, 3, 32, 64), (1, 1, 32, 64), (1, 3, 64, 32), (1, 32, 64, 3)])
def test_a_batch_of_another_shape_is_refused(tiny_onnx: Path, shape: tuple[int, ...]) -> None:
    with (
        open_backend(tiny_onnx, "openvino", FP32) as engine,
        pytest.raises(InputError, match=r"does not fit; \(N, 3, 32, 64\) is wanted"),
    ):
        engine.infer(np.zeros(shape, np.float32))


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_a_batch_of_another_type_is_refused(tiny_onnx: Path, backend: str) -> None:
    with open_backend(tiny_onnx, backend, FP32) as engine, pytest.raises(InputError, match="float32 is wanted"):
        engine.infer(np.zeros((1, 3, 32, 64)))  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("backend", [*ONNX_BACKENDS, "torch"])
def test_closing_twice_does_no_harm_and_a_closed_model_says_so(tiny_onnx: Path, checkpoint: Path, backend: str) -> None:
    with open_backend(checkpoint if backend == "torch" else tiny_onnx, backend, FP32) as engine:
        engine.close()
        with pytest.raises(BackendError, match="is closed"):
            engine.infer(a_batch(1))


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
    with pytest.raises(InputError, match="There is no precision fp7"):
        InferenceOptions(precision="fp7")


def test_the_threads_that_were_asked_for_are_known_to_what_comes_before_and_after(tiny_onnx: Path) -> None:
    assert open_backend(tiny_onnx, "openvino", InferenceOptions(threads=1)).threads == 1


def test_a_negative_number_of_threads_is_refused() -> None:
    with pytest.raises(InputError, match="-1 threads"):
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

    batches = [a_batch(1) * (index / 12.0) for index in range(1, 13)]
    with open_backend(tiny_onnx, "openvino", InferenceOptions(precision="fp32", streams=3)) as backend:
        assert backend.concurrency == 3
        with ThreadPoolExecutor(backend.concurrency) as threads:
            maps = list(threads.map(backend.infer, batches))
    for batch, blur in zip(batches, maps, strict=True):
        np.testing.assert_allclose(blur, by_reference(tiny_onnx, batch), atol=1e-5)


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


def test_only_tensorrt_leaves_maps_on_a_gpu(tiny_onnx: Path) -> None:
    with open_backend(tiny_onnx, "onnxruntime") as backend, pytest.raises(InputError, match="no maps on a GPU"):
        backend.infer_on_device(a_batch(1))


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
