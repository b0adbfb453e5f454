"""`br2net build` of what cannot be built: one sentence, exit code 2 (3 where the engine is wrong), and no file."""

import errno
import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from br2net.builder.engine import BuildOptions, build_engine
from br2net.runtime.backend import Backend, InferenceOptions
from br2net.runtime.backends import open_backend
from br2net.runtime.engine_file import Library, read_record, write_engine
from br2net.runtime.gpu import Gpu
from br2net.runtime.onnxruntime import OnnxRuntimeBackend

from ...builder.engine import conftest as engine_fixtures
from ...builder.engine.conftest import MakeOnnx
from .conftest import Command, Ending

make_onnx, cache = engine_fixtures.make_onnx, engine_fixtures.cache
FOR_ANY = ("--for", "any")


def refused(ended: Ending, folder: Path, said: str, code: int = 2) -> None:
    """Check what holds for every refusal."""
    assert ended.code == code, ended
    assert said in ended.err
    assert ended.err.startswith("br2net: ") and ended.err.count("\n") == 1
    assert ended.out == ""
    assert not [path for path in folder.rglob("*") if ".engine" in path.name]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """A GPU that the builder finds here."""
    found = Gpu("RTX 4090", "8.9")
    monkeypatch.setattr("br2net.builder.engine.build.find_gpu", lambda: found)
    return found


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("br2net.builder.engine.build.find_gpu", lambda: None)


def test_what_is_no_onnx(br2net: Command, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"hello world, this is no protobuf")
    ended = br2net("build", tmp_path / "x.onnx", "-o", tmp_path / "x.engine", *FOR_ANY)
    refused(ended, tmp_path, "x.onnx is not an ONNX file")


def test_an_opset_that_no_parser_knows(br2net: Command, tmp_path: Path, make_onnx: MakeOnnx) -> None:
    ended = br2net("build", make_onnx(opset=99), "-o", tmp_path / "x.engine", *FOR_ANY)
    refused(ended, tmp_path, "has opset 99")


@pytest.mark.usefixtures("testbed")
def test_an_operator_that_tensorrt_lacks_is_named_with_its_node(
    br2net: Command, tmp_path: Path, make_onnx: MakeOnnx
) -> None:
    ended = br2net("build", make_onnx(relu="Nonsense"), "-o", tmp_path / "x.engine", *FOR_ANY)
    refused(ended, tmp_path, "node activation (Nonsense)")


def test_a_profile_that_does_not_contain_the_models_size(br2net: Command, tmp_path: Path, make_onnx: MakeOnnx) -> None:
    ended = br2net("build", make_onnx(), "-o", tmp_path / "x.engine", "--size", "96x96:128x128:160x160", *FOR_ANY)
    refused(ended, tmp_path, "fixed width of 64")


@pytest.mark.parametrize("size", ["64x70", "64x64:64x70:96x96"])
def test_a_size_that_the_network_cannot_have(br2net: Command, tmp_path: Path, make_onnx: MakeOnnx, size: str) -> None:
    ended = br2net("build", make_onnx("N", "any"), "-o", tmp_path / "x.engine", "--size", size, *FOR_ANY)
    refused(ended, tmp_path, "64x70")


def test_a_name_that_no_backend_would_open(br2net: Command, tmp_path: Path, make_onnx: MakeOnnx) -> None:
    ended = br2net("build", make_onnx(), "-o", tmp_path / "x.trt", *FOR_ANY)
    refused(ended, tmp_path, "x.trt must end in .engine or .plan")


def test_a_folder_that_cannot_be_written_to_before_anything_is_built(
    br2net: Command, tmp_path: Path, make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("br2net.builder.engine.build.read_source", lambda path: pytest.fail("it went on"))
    (tmp_path / "file").write_text("")
    refused(br2net("build", make_onnx(), "-o", tmp_path / "file" / "x.engine"), tmp_path, "Cannot write")


def test_no_tensorrt(tmp_path: Path, make_onnx: MakeOnnx) -> None:
    without = "import sys; sys.modules['tensorrt'] = sys.modules['tensorrt_rtx'] = None; from br2net.cli import main; "
    arguments = ["br2net", "build", str(make_onnx()), "-o", str(tmp_path / "x.engine")]
    run = subprocess.run(
        [sys.executable, "-c", f"{without} sys.argv = {arguments}; main()"], capture_output=True, text=True, check=False
    )
    refused(Ending(run.returncode, run.stdout, run.stderr), tmp_path, "pip install tensorrt-cu13")


@pytest.mark.usefixtures("testbed", "no_gpu")
class TestNoGpu:
    def test_tensorrt_builds_on_the_gpu_that_the_engine_is_for(
        self, br2net: Command, tmp_path: Path, make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from br2net.builder.engine import plan

        monkeypatch.setattr(plan, "library", lambda: Library("tensorrt", "11.4.0.106"))
        ended = br2net("build", make_onnx(), "-o", tmp_path / "x.engine")
        refused(ended, tmp_path, "there is no NVIDIA GPU (or driver) here")

    def test_tensorrt_for_rtx_must_be_told_which(self, br2net: Command, tmp_path: Path, make_onnx: MakeOnnx) -> None:
        refused(br2net("build", make_onnx(), "-o", tmp_path / "x.engine"), tmp_path, "--for sm86,sm89 or --for any")

    def test_weights_cannot_be_left_out(self, br2net: Command, tmp_path: Path, make_onnx: MakeOnnx) -> None:
        ended = br2net("build", make_onnx(), "-o", tmp_path / "x.engine", *FOR_ANY, "--strip")
        refused(ended, tmp_path, "needs a GPU to leave out weights")

    def test_refit_without_gpu_is_refused(self, br2net: Command, tmp_path: Path, make_onnx: MakeOnnx) -> None:
        ended = br2net("build", make_onnx(), "--refit", tmp_path / "stripped.plan", "-o", tmp_path / "x.engine")
        refused(ended, tmp_path, "Filling in the weights of an engine needs the GPU that it is for")

    def test_a_gpu_that_it_does_not_build_for_is_named(
        self, br2net: Command, tmp_path: Path, make_onnx: MakeOnnx
    ) -> None:
        ended = br2net("build", make_onnx(), "-o", tmp_path / "x.engine", "--for", "sm86,sm87")
        refused(ended, tmp_path, "cannot build for sm87")


@pytest.mark.usefixtures("testbed")
def test_what_tensorrt_logged_of_a_failed_build_can_be_kept(
    br2net: Command, tmp_path: Path, make_onnx: MakeOnnx
) -> None:
    wanted = ("--version-compatible", "--log", tmp_path / "build.log")  # needs a library that this RTX does not bring
    ended = br2net("build", make_onnx(), "-o", tmp_path / "x.engine", *FOR_ANY, *wanted)
    refused(ended, tmp_path, "could not build")
    lines = (tmp_path / "build.log").read_text().splitlines()
    assert any(line.startswith("ERROR: ") and "libnvinfer_lean" in line for line in lines)


@pytest.mark.usefixtures("testbed")
@pytest.mark.parametrize("full_at", ["plan", "sidecar"])
def test_a_disk_that_is_full_when_the_file_is_written(
    full_at: str, br2net: Command, tmp_path: Path, make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {"plan": "write_bytes", "sidecar": "write_text"}[full_at]
    whole = getattr(Path, written)

    def half(path: Path, data: bytes | str, **options: str) -> None:
        if ".engine" not in path.name and ".json" not in path.suffix:
            whole(path, data, **options)
            return
        whole(path, data[: len(data) // 2], **options)
        raise OSError(errno.ENOSPC, "No space left on device")

    source = make_onnx()
    monkeypatch.setattr(Path, written, half)
    ended = br2net("build", source, "-o", tmp_path / "x.engine", *FOR_ANY, "--no-timing-cache")
    refused(ended, tmp_path, "No space left on device")


@pytest.mark.usefixtures("testbed")
@pytest.mark.parametrize(
    ("stripped", "said"), [(False, "has its weights already"), (True, "and other.onnx is another file")]
)
def test_weights_that_do_not_belong_into_an_engine(
    stripped: bool,
    said: str,
    br2net: Command,
    tmp_path: Path,
    make_onnx: MakeOnnx,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = tmp_path / "built" / "x.engine"
    record = build_engine(make_onnx(), engine, BuildOptions(targets=("any",)))
    write_engine(engine, engine.read_bytes(), replace(record, stripped=stripped))
    monkeypatch.setattr("br2net.builder.engine.build.find_gpu", lambda: Gpu("RTX 4090", "8.9"))
    monkeypatch.chdir(make_onnx(channels=8).rename(tmp_path / "other.onnx").parent)
    ended = br2net("build", "other.onnx", "--refit", engine, "-o", tmp_path / "filled" / "y.engine")
    refused(ended, tmp_path / "filled", said)


@pytest.mark.usefixtures("testbed", "gpu")
class TestTheGate:
    """The GPU and its results are simulated; the build is real."""

    def build(self, onnx: Path, off: float, layers: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Path:
        """Let engines compute the maps of `onnx` plus `off`; returns `onnx`."""
        from br2net.builder.engine import build, execution

        def open_here(path: Path, backend: str, options: InferenceOptions) -> Backend:
            if backend != "tensorrt":
                return open_backend(path, backend, options)
            plan = path.read_bytes()  # a whole engine, beside the file to write and not under its name yet
            assert read_record(path).plan_sha256 == hashlib.sha256(plan).hexdigest()
            assert path.parent.parent == onnx.parent and not (onnx.parent / path.name).exists()
            engine = OnnxRuntimeBackend(onnx, InferenceOptions(size=options.size))
            infer = engine._infer
            monkeypatch.setattr(engine, "_infer", lambda batch: infer(batch) + np.float32(off))
            return engine

        monkeypatch.setattr(build, "NEEDED_TO_RUN", ())
        monkeypatch.setattr(build, "open_backend", open_here)
        monkeypatch.setattr(execution, "layers_of", lambda plan: layers)
        return onnx

    def test_maps_beyond_the_tolerance_are_refused_with_exit_code_3(
        self, br2net: Command, tmp_path: Path, make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        onnx = self.build(make_onnx(), 0.01, {"fp32": 3}, monkeypatch)
        ended = br2net("build", onnx, "-o", tmp_path / "x.engine", *FOR_ANY)
        refused(ended, tmp_path, "The engine is refused: its blur maps differ", code=3)
        assert "allowed largest 0.05, mean 0.002" in ended.err

    def test_the_tolerance_can_be_said(
        self, br2net: Command, tmp_path: Path, make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        onnx = self.build(make_onnx(), 0.01, {"fp32": 3}, monkeypatch)
        ended = br2net("build", onnx, "-o", tmp_path / "x.engine", *FOR_ANY, "--tolerance", "0.02")
        assert ended.code == 0, ended.err
        assert "layers: 3 fp32; maps within 0.01000 (mean) of the ONNX" in ended.out

    def test_maps_that_are_not_numbers_are_refused(
        self, br2net: Command, tmp_path: Path, make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        onnx = self.build(make_onnx(), float("nan"), {"fp32": 3}, monkeypatch)
        ended = br2net("build", onnx, "-o", tmp_path / "x.engine", *FOR_ANY, "--tolerance", "1")
        refused(ended, tmp_path, "is refused", code=3)

    def test_a_narrow_engine_that_is_mostly_fp32_is_called_out(
        self,
        br2net: Command,
        tmp_path: Path,
        make_onnx: MakeOnnx,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        onnx = self.build(make_onnx(precision="fp16"), 0.0, {"fp16": 1, "fp32": 3}, monkeypatch)
        assert br2net("build", onnx, "-o", tmp_path / "x.engine", *FOR_ANY).code == 0
        assert "This fp16 engine is mostly fp32: 3 of 4 layers" in caplog.text
