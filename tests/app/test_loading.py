"""What `Detector.load` does on machines with and without an NVIDIA GPU. GPU and build are simulated, files are real."""

import hashlib
import logging
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from br2net import Detector, loading
from br2net.builder.engine import BuildOptions, on_demand
from br2net.builder.engine.source import read_source
from br2net.errors import BackendError, EngineError, InputError, MissingDependencyError
from br2net.runtime import InferenceOptions
from br2net.runtime.backend import Backend
from br2net.runtime.backends import open_backend
from br2net.runtime.engine_file import EngineRecord, Library, read_record, write_engine
from br2net.runtime.gpu import Gpu
from br2net.runtime.metadata import IMAGENET, ModelMetadata
from br2net.runtime.tensorrt import TensorRTBackend
from br2net.zoo import find_model
from tests.conftest import OnnxMaker
from tests.runtime.tensorrt.fake_engine import FakeEngine

PLAN = b"ftrt" + bytes(20) + bytes([10, 3, 0, 26]) + b"weights"
ORIN = Gpu("Orin", "8.7")


@dataclass
class Machine:
    """A machine that has GPUs and TensorRT as far as loading can tell; `built` lists what was built on it."""

    gpus: list[Gpu] = field(default_factory=lambda: [ORIN])
    library: Library | None = Library("tensorrt", "10.3.0")  # noqa: RUF009  # frozen
    built: list[tuple[Path, BuildOptions]] = field(default_factory=list)

    def find_gpu(self, index: int = 0) -> Gpu | None:
        return self.gpus[index] if index < len(self.gpus) else None

    def build(self, onnx: Path, engine: Path, options: BuildOptions, show_progress: bool) -> EngineRecord:
        assert self.library is not None and options.profile is not None and show_progress
        source = read_source(onnx)
        facts = EngineRecord(
            source.metadata,
            self.library,
            self.gpus[0].name,
            (self.gpus[0].compute_capability,),
            options.profile,
            onnx.name,
            source.sha256,
            hashlib.sha256(PLAN).hexdigest(),
            len(PLAN),
        )
        write_engine(engine, PLAN, facts)
        self.built.append((onnx, options))
        return facts

    def open(self, path: Path, backend: str, options: InferenceOptions) -> Backend:
        """As `open_backend`; engines run in host memory."""
        if path.suffix != ".engine":
            return open_backend(path, backend, options)
        engine = FakeEngine(self.built[-1][0])
        return TensorRTBackend(engine.new_device(), engine, read_record(path), options)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    simulated = Machine()
    stand_in = ModuleType("br2net.runtime.tensorrt.api")  # the real one imports NVIDIA's libraries

    def library() -> Library:
        if simulated.library is None:
            raise MissingDependencyError("TensorRT is not installed; bring it with `pip install tensorrt-cu13`.")
        return simulated.library

    vars(stand_in)["library"] = library
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    monkeypatch.setenv("BR2NET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "find_gpu", simulated.find_gpu)
    monkeypatch.setattr(loading, "open_backend", simulated.open)
    monkeypatch.setattr("br2net.log._warned", set())
    monkeypatch.setattr(on_demand, "build_engine", simulated.build)
    monkeypatch.setattr(on_demand, "_NEEDED", ())
    return simulated


def used(model: Path | str, **options: object) -> tuple[str, str]:
    """Name and precision of the backend that a model is loaded with."""
    with Detector.load(model, **options) as detector:  # type: ignore[arg-type]
        return detector.backend.name, detector.backend.precision


def test_without_a_gpu_nothing_is_built(machine: Machine, tiny_onnx: Path) -> None:
    machine.gpus.clear()
    assert used(tiny_onnx)[0] == "openvino"
    assert not machine.built


def test_an_engine_is_built_once_and_kept_in_the_cache_folder(
    machine: Machine, tiny_onnx: Path, tmp_path: Path
) -> None:
    assert [used(tiny_onnx, precision="fp32") for _ in range(2)] == [("tensorrt", "fp32")] * 2
    assert len(machine.built) == 1
    (engine,) = (tmp_path / "cache" / "engines").glob("tiny-fp32-*.engine")
    assert engine.read_bytes() == PLAN


def test_the_engine_detects_as_the_onnx_does(machine: Machine, tiny_onnx: Path, photograph: NDArray[np.uint8]) -> None:
    with Detector.load(tiny_onnx, precision="fp32") as detector:
        found = detector([photograph] * 3)
    with Detector.load(tiny_onnx, backend="onnxruntime") as detector:
        expected = detector([photograph] * 3)
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one.map - other.map).max() < 1e-5


Change = Callable[[Machine, Path], dict[str, object]]


def another_tensorrt(machine: Machine, _: Path) -> dict[str, object]:
    machine.library = Library("tensorrt", "11.4.0.106")
    return {}


def another_gpu(machine: Machine, _: Path) -> dict[str, object]:
    machine.gpus[0] = Gpu("Thor", "11.0")
    return {}


def another_size(_: Machine, __: Path) -> dict[str, object]:
    return {"size": (96, 64)}


def a_damaged_engine(_: Machine, cache: Path) -> dict[str, object]:
    (engine,) = cache.glob("engines/*.engine")
    engine.write_bytes(PLAN[:-2])
    return {}


@pytest.mark.parametrize("change", [another_tensorrt, another_gpu, another_size, a_damaged_engine])
def test_it_is_built_again_for(change: Change, machine: Machine, tiny_onnx: Path, tmp_path: Path) -> None:
    used(tiny_onnx, precision="fp32")
    options = change(machine, tmp_path / "cache")
    assert used(tiny_onnx, precision="fp32", **options) == ("tensorrt", "fp32")
    assert len(machine.built) == 2


def test_threads_that_want_one_engine_build_it_once(
    machine: Machine, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = threading.Barrier(4)

    def build(*arguments: Any, **options: Any) -> EngineRecord:
        time.sleep(0.2)  # long enough for the others to find nothing, were they let in
        return machine.build(*arguments, **options)

    def want(_: int) -> Path:
        entered.wait(10)
        return on_demand.engine_on_demand(tiny_onnx, "fp32", None, ORIN)

    monkeypatch.setattr(on_demand, "build_engine", build)
    with ThreadPoolExecutor(4) as threads:
        engines = set(threads.map(want, range(4)))
    assert len(engines) == len(machine.built) == 1


def test_an_open_batch_and_the_wanted_size_make_the_profile(machine: Machine, tiny_onnx: Path) -> None:
    used(tiny_onnx, precision="fp32", size=(128, 96))
    ((_, options),) = machine.built
    assert str(options.profile) == "1 of 128x96 to 8 of 128x96"


def test_fp16_is_what_a_gpu_does_best(machine: Machine, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from br2net.builder import precision
    from br2net.runtime.metadata import METADATA_KEY

    def cast(source: Path, out: Path) -> None:
        import onnx

        model = onnx.load(source)
        facts = read_source(source).metadata.with_precision("fp16")
        onnx.helper.set_model_props(model, {METADATA_KEY: facts.to_json()})
        onnx.save(model, out)

    monkeypatch.setattr(precision, "to_fp16", cast)
    assert used(tiny_onnx) == ("tensorrt", "fp16")


@pytest.mark.parametrize(("weights", "expected"), [("same", "fp16"), ("other", "fp32")])
def test_an_fp16_file_of_the_same_weights_beside_is_taken(
    weights: str, expected: str, machine: Machine, make_onnx: OnnxMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_demand.importlib.util, "find_spec", lambda name: None)
    facts = ModelMetadata("tiny", "{}", "none", 64, 32, IMAGENET, weights_sha256="same")
    narrow = replace(facts, precision="fp16", weights_sha256=weights)
    source = make_onnx("x.onnx", metadata=facts.to_json())
    beside = make_onnx("x-fp16.onnx", metadata=narrow.to_json())
    assert used(source) == ("tensorrt", expected)
    assert machine.built[0][0] == (beside if weights == "same" else source)
    assert used(source, precision="fp32") == ("tensorrt", "fp32")


def test_the_shipped_model_has_such_a_file() -> None:
    found = on_demand.fp16_beside(read_source(find_model("mobile")))
    assert found is not None and found.path.name == "mobile-fp16.onnx"


def test_where_fp16_cannot_be_made_it_is_fp32_and_that_is_said(
    machine: Machine, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(on_demand.importlib.util, "find_spec", lambda name: None)
    assert used(tiny_onnx) == ("tensorrt", "fp32")
    assert "computes in fp32: fp16 needs NVIDIA's Model Optimizer" in caplog.text
    with pytest.raises(InputError, match="nvidia-modelopt"):
        Detector.load(tiny_onnx, precision="fp16")


def test_int8_is_not_made_by_the_way(machine: Machine, tiny_onnx: Path) -> None:
    with pytest.raises(InputError, match="br2net calibrate"):
        Detector.load(tiny_onnx, precision="int8")


@pytest.mark.parametrize("options", [{"backend": "openvino"}, {"device": "cpu"}, {"precision": "bf16"}], ids=str)
def test_who_asks_for_the_cpu_gets_it(options: dict[str, str], machine: Machine, tiny_onnx: Path) -> None:
    try:
        assert used(tiny_onnx, **options)[0] == "openvino"
    except InputError as error:  # of OpenVINO, on a CPU without bf16
        assert "OpenVINO computes" in str(error) and options == {"precision": "bf16"}
    assert not machine.built


class TestGpuWithoutTensorRT:
    @pytest.fixture(autouse=True)
    def lacking(self, machine: Machine) -> None:
        machine.library = None

    def test_the_cpu_is_used_and_that_is_said_once(self, tiny_onnx: Path, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            assert [used(tiny_onnx)[0] for _ in range(3)] == ["openvino"] * 3
        (said,) = caplog.messages
        assert "The GPU here (Orin) is not used" in said and "pip install tensorrt-cu13" in said

    def test_who_asks_for_the_gpu_is_refused(self, tiny_onnx: Path) -> None:
        for options in ({"device": "cuda"}, {"backend": "tensorrt"}):
            with pytest.raises(MissingDependencyError, match="TensorRT is not installed"):
                Detector.load(tiny_onnx, **options)  # type: ignore[arg-type]

    def test_other_packages_that_lack_are_named_before_anything_is_built(
        self, machine: Machine, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        machine.library = Library("tensorrt", "10.3.0")
        monkeypatch.setattr(on_demand, "_NEEDED", ("no_such_package",))
        assert used(tiny_onnx)[0] == "openvino"
        assert "needs no_such_package in addition to TensorRT" in caplog.text and not machine.built


def test_a_gpu_that_tensorrt_cannot_use_is_warned_of_once(
    machine: Machine, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> EngineRecord:
        raise EngineError("TensorRT 11.4.0 cannot use CUDA here (driver too old).")

    monkeypatch.setattr(on_demand, "build_engine", fail)
    with caplog.at_level(logging.WARNING, logger="br2net.loading"):
        assert [used(tiny_onnx, precision="fp32")[0] for _ in range(2)] == ["openvino"] * 2
    assert sum("driver too old" in text for text in caplog.messages) == 1
    with pytest.raises(EngineError, match="driver too old"):
        Detector.load(tiny_onnx, precision="fp32", device="cuda")


def test_a_gpu_that_is_not_there_is_refused_by_name(machine: Machine, tiny_onnx: Path) -> None:
    with pytest.raises(InputError, match="no GPU number 1"):
        Detector.load(tiny_onnx, device="cuda:1")
    machine.gpus.append(Gpu("RTX 4090", "8.9"))
    with pytest.raises(InputError, match="CUDA_VISIBLE_DEVICES=1"):
        Detector.load(tiny_onnx, device="cuda:1")
    machine.gpus.clear()
    with pytest.raises(BackendError, match="no NVIDIA GPU"):
        Detector.load(tiny_onnx, backend="tensorrt")
