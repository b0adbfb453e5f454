import hashlib
import os
import signal
import threading
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from br2net.builder.engine import BuildOptions, build_engine
from br2net.builder.engine import build as build_module
from br2net.builder.engine.options import parse_profile
from br2net.errors import EngineError, InputError, MissingDependencyError, ModelError
from br2net.runtime.engine_file import parse_plan_header, read_record
from br2net.runtime.metadata import METADATA_KEY

from .conftest import MakeOnnx, metadata

AHEAD_OF_TIME = BuildOptions(targets=("any",))


def no_engine(folder: Path) -> bool:
    return not [path for path in folder.iterdir() if ".engine" in path.name]


@pytest.mark.usefixtures("testbed")
class TestOnTheHostTestBed:
    def test_a_plan_names_its_product_version_and_size(self, make_onnx: MakeOnnx, tmp_path: Path) -> None:
        engine = tmp_path / "tiny.engine"
        record = build_engine(make_onnx(), engine, AHEAD_OF_TIME)
        plan = engine.read_bytes()
        header = parse_plan_header(plan, "tiny.engine")
        assert plan[:4] == b"vtrt"
        assert plan[24:27] == bytes([1, 7, 1])
        assert header.version_text() == record.library.version
        assert header.size_bytes == len(plan)

    def test_the_sidecar_describes_plan_and_onnx(self, make_onnx: MakeOnnx, tmp_path: Path) -> None:
        source, engine = make_onnx(), tmp_path / "tiny.engine"
        record = build_engine(source, engine, AHEAD_OF_TIME)
        assert record == read_record(engine)
        assert record.plan_sha256 == hashlib.sha256(engine.read_bytes()).hexdigest()
        assert record.onnx_sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
        assert record.compute_capabilities == ("8.6+",)

    def test_a_dynamic_network_builds_for_a_profile(self, make_onnx: MakeOnnx, tmp_path: Path) -> None:
        profile = parse_profile("1:2:4", "64x64:96x64:128x128")
        options = BuildOptions(profile=profile, targets=("any",))
        assert build_engine(make_onnx("N", "any"), tmp_path / "x.engine", options).profile == profile

    def test_a_dynamic_network_builds_for_one_image_of_its_default_size(
        self, make_onnx: MakeOnnx, tmp_path: Path
    ) -> None:
        record = build_engine(make_onnx("N", "any"), tmp_path / "x.engine", AHEAD_OF_TIME)
        assert str(record.profile) == "1 of 64x64"

    def test_a_driver_that_is_too_old_is_one_sentence(
        self, make_onnx: MakeOnnx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from br2net.builder.engine import plan

        def refuse(log: object) -> object:
            raise TypeError("pybind11::init(): factory function returned nullptr")

        monkeypatch.setattr(plan.trt, "Builder", refuse)
        with pytest.raises(EngineError, match=r"cannot use CUDA here \(.*\); compare the driver's CUDA version"):
            build_engine(make_onnx(), tmp_path / "x.engine", AHEAD_OF_TIME)

    def test_options_reach_tensorrts_configuration(self, make_onnx: MakeOnnx, tmp_path: Path) -> None:
        from br2net.builder.engine import plan
        from br2net.builder.engine.config import make_config
        from br2net.builder.engine.execution import create
        from br2net.builder.engine.progress import BuildProgress, progress_bars

        trt = plan.trt
        options = BuildOptions(workspace_mib=64, optimisation_level=1, version_compatible=True, strip_weights=True)
        builder = create(trt.Builder)
        network, _parser = plan.parse_network(builder, make_onnx("N", 64))
        with progress_bars(False) as bars:
            progress = BuildProgress(bars)
            config = make_config(builder, network, options, parse_profile("1:2:4", "64x64"), None, progress)
        assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 64 << 20
        assert (config.builder_optimization_level, config.num_optimization_profiles) == (1, 1)
        assert config.profiling_verbosity == trt.ProfilingVerbosity.DETAILED
        flags = ("VERSION_COMPATIBLE", "STRIP_PLAN", "REFIT_IDENTICAL", "TF32")
        assert all(config.get_flag(getattr(trt.BuilderFlag, name)) for name in flags)
        assert config.get_timing_cache() is not None

    def test_targets_are_built_for_and_none_but_them(self, make_onnx: MakeOnnx, tmp_path: Path) -> None:
        source = make_onnx()
        three = build_engine(source, tmp_path / "three.engine", BuildOptions(targets=("sm86", "sm89", "sm120")))
        one = build_engine(source, tmp_path / "one.engine", BuildOptions(targets=("sm89",)))
        assert three.compute_capabilities == ("8.6", "8.9", "12.0")
        assert one.plan_size_bytes < three.plan_size_bytes

    def test_layer_times_are_kept_in_the_cache_folder(self, make_onnx: MakeOnnx, tmp_path: Path, cache: Path) -> None:
        build_engine(make_onnx(), tmp_path / "a.engine", AHEAD_OF_TIME)
        (kept,) = (cache / "timing").glob("tensorrt_rtx-1.7.1.116-no-gpu.cache")
        kept.write_bytes(b"damaged")
        build_engine(make_onnx(), tmp_path / "b.engine", AHEAD_OF_TIME)
        assert kept.read_bytes() != b"damaged"

    def test_ctrl_c_stops_the_build_and_leaves_no_file(
        self, make_onnx: MakeOnnx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from br2net.builder.engine.progress import BuildProgress

        answers: list[bool] = []
        sent = threading.Event()
        step_complete = BuildProgress.step_complete

        def interrupted(self: BuildProgress, phase_name: str, step: int) -> bool:
            if not sent.is_set():
                sent.set()
                os.kill(os.getpid(), signal.SIGINT)
                assert stopped.wait(10)
            answers.append(step_complete(self, phase_name, step))
            return answers[-1]

        stopped = threading.Event()
        stop = BuildProgress.stop
        monkeypatch.setattr(BuildProgress, "stop", lambda self: (stop(self), stopped.set()))
        monkeypatch.setattr(BuildProgress, "step_complete", interrupted)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
        try:
            with pytest.raises(KeyboardInterrupt):
                build_engine(make_onnx(), tmp_path / "x.engine", AHEAD_OF_TIME)
        finally:
            signal.signal(signal.SIGINT, before)
        assert answers[-1] is False
        assert no_engine(tmp_path)

    def test_an_unknown_operator_is_refused_by_the_name_of_its_node(self, make_onnx: MakeOnnx, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"node activation \(Nonsense\)"):
            build_engine(make_onnx(relu="Nonsense"), tmp_path / "x.engine", AHEAD_OF_TIME)
        assert no_engine(tmp_path)

    def test_without_a_gpu_the_targets_must_be_said(
        self, make_onnx: MakeOnnx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("br2net.builder.engine.build.find_gpu", lambda: None)
        with pytest.raises(InputError, match="--for"):
            build_engine(make_onnx(), tmp_path / "x.engine")
        assert no_engine(tmp_path)

    def test_a_dla_core_that_is_not_there_is_refused(self, make_onnx: MakeOnnx, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no DLA core 0"):
            build_engine(make_onnx(precision="fp16"), tmp_path / "x.engine", BuildOptions(targets=("any",), dla_core=0))

    def test_a_failed_build_carries_tensorrts_log(self, make_onnx: MakeOnnx, tmp_path: Path) -> None:
        options = BuildOptions(targets=("any",), version_compatible=True)  # needs a library that RTX does not bring
        with pytest.raises(EngineError, match="could not build") as caught:
            build_engine(make_onnx(), tmp_path / "x.engine", options)
        assert any(line.startswith("ERROR: ") and "libnvinfer_lean" in line for line in caught.value.log)
        assert no_engine(tmp_path)

    def test_a_folder_that_cannot_be_written_to_is_one_sentence(self, make_onnx: MakeOnnx, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match="Cannot write"):
            build_engine(make_onnx(), tmp_path / "file" / "x.engine", AHEAD_OF_TIME)

    def test_an_int8_graph_of_quantise_and_dequantise_nodes_builds(self, make_onnx: MakeOnnx, tmp_path: Path) -> None:
        quantised = quantise(onnx.load(make_onnx()))
        path = tmp_path / "int8.onnx"
        onnx.save(quantised, path)
        record = build_engine(path, tmp_path / "int8.engine", AHEAD_OF_TIME)
        assert record.model.precision == "int8"


def quantise(model: onnx.ModelProto) -> onnx.ModelProto:
    """Q/DQ before the second convolution and on its weights, written by hand."""
    graph = model.graph
    for name, scale in (("b", 0.01), ("w2", 0.004)):
        graph.initializer.append(helper.make_tensor(f"{name}_scale", TensorProto.FLOAT, [], [scale]))
        graph.initializer.append(helper.make_tensor(f"{name}_zero", TensorProto.INT8, [], [0]))
    index = [node.name for node in graph.node].index("second")
    second = graph.node[index]
    for name in ("b", "w2"):
        facts = [f"{name}_scale", f"{name}_zero"]
        for step, (operator, source, target) in enumerate(
            (("QuantizeLinear", name, f"{name}_q"), ("DequantizeLinear", f"{name}_q", f"{name}_dq"))
        ):
            graph.node.insert(index + step, helper.make_node(operator, [source, *facts], [target], name=target))
        index += 2
    second = graph.node[index]
    second.input[0], second.input[1] = "b_dq", "w2_dq"
    helper.set_model_props(model, {METADATA_KEY: metadata("int8").to_json()})
    return model


def test_without_tensorrt_the_sentence_holds_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    from br2net.errors import Br2netError

    def absent(name: str) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    try:
        from br2net.runtime.tensorrt import api
    except Br2netError as error:
        assert isinstance(error, MissingDependencyError)
        assert "pip install tensorrt" in str(error)
        return
    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingDependencyError, match="pip install tensorrt"):
        api.find_tensorrt(None)


def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"hello world, this is no protobuf")
    with pytest.raises(ModelError, match="not an ONNX"):
        build_engine(path, tmp_path / "x.engine", AHEAD_OF_TIME)


def test_an_opset_newer_than_the_parser_knows_is_refused(make_onnx: MakeOnnx, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="opset 99"):
        build_engine(make_onnx(opset=99), tmp_path / "x.engine", AHEAD_OF_TIME)


@pytest.mark.parametrize(
    ("precision", "batch", "refusal"),
    [("fp32", 1, "needs an fp16 file"), ("int8", 1, "needs an fp16 file"), ("fp16", "N", "needs one fixed shape")],
)
def test_a_file_that_a_dla_cannot_compute_is_refused(
    precision: str, batch: int | str, refusal: str, make_onnx: MakeOnnx, tmp_path: Path
) -> None:
    options = BuildOptions(profile=parse_profile("1", "64x64"), dla_core=0)
    with pytest.raises(InputError, match=refusal):
        build_engine(make_onnx(batch, precision=precision), tmp_path / "x.engine", options)


def test_a_missing_package_is_named_before_anything_is_built(
    testbed: Path, make_onnx: MakeOnnx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from br2net.builder.engine import plan

    monkeypatch.setattr(build_module, "NEEDED_TO_BUILD", ("polygraphy", "no_such_package"))
    monkeypatch.setattr(plan, "build_plan", lambda *_: pytest.fail("the build started"))
    with pytest.raises(
        MissingDependencyError, match=r"needs no_such_package in addition to TensorRT; run `pip install"
    ):
        build_engine(make_onnx(), tmp_path / "x.engine", AHEAD_OF_TIME)


def test_a_profile_that_the_fixed_size_is_not_in_is_refused(make_onnx: MakeOnnx, tmp_path: Path) -> None:
    options = BuildOptions(profile=parse_profile("1", "128x128"), targets=("any",))
    with pytest.raises(InputError, match="fixed width of 64"):
        build_engine(make_onnx(), tmp_path / "x.engine", options)
