"""Our use of TensorRT, type-checked against NVIDIA's own signatures of three versions."""

import subprocess
import sys
from pathlib import Path

import pytest

from .generate import BINDINGS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STAGES = ("network", "training", "calibration", "builder", "runtime", "benchmarks")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package `br2net` put together of links, as an installation has it."""
    folder = tmp_path_factory.mktemp("package") / "br2net"
    folder.mkdir()
    for part in (ROOT / "app").iterdir():
        (folder / part.name).symlink_to(part)
    for stage in STAGES:
        (folder / stage).symlink_to(ROOT / stage)
    return folder.parent


def modules_using_tensorrt() -> list[Path]:
    """Every source file that imports TensorRT, or gets it from the module which does."""
    sources = [path for stage in (*STAGES, "app") for path in (ROOT / stage).rglob("*.py")]
    return [path for path in sources if {"import tensorrt as trt", "import trt"} & _imports(path)]


def _imports(path: Path) -> set[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    found = {line.strip() for line in lines if line.strip() == "import tensorrt as trt"}
    taken = any("runtime.tensorrt.api import" in line and "trt" in line.split("import")[1] for line in lines)
    return found | ({"import trt"} if taken else set())


def check(version: str, package: Path, arguments: list[str], cache: Path) -> subprocess.CompletedProcess[str]:
    """Run mypy --strict with the signatures of `version` as the module `tensorrt`."""
    cache.mkdir(exist_ok=True)
    (cache / "mypy.ini").write_text(
        f"[mypy]\nstrict = True\nmypy_path = {HERE / 'stubs' / version}:{package}\nfollow_imports = silent\n"
        "disable_error_code = import-untyped\n"
    )
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", "cache", *arguments]
    return subprocess.run(command, cwd=cache, capture_output=True, text=True, check=False)


def dotted(path: Path) -> str:
    """`builder/engine/plan.py` as `br2net.builder.engine.plan`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("br2net", *(parts[1:] if parts[0] == "app" else parts)))


def test_the_modules_that_use_tensorrt_are_found() -> None:
    names = {dotted(path) for path in modules_using_tensorrt()}
    assert {"br2net.runtime.tensorrt.api", "br2net.builder.engine.config", "br2net.builder.engine.plan"} <= names


@pytest.mark.slow
@pytest.mark.parametrize("version", BINDINGS)
def test_our_use_of_tensorrt_fits_its_signatures(version: str, package: Path, tmp_path: Path) -> None:
    arguments = [part for path in modules_using_tensorrt() for part in ("-m", dotted(path))]
    run = check(version, package, arguments, tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("version", BINDINGS)
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("trt.Builder(trt.Logger()).build_cuda_engine()", "build_cuda_engine"),
        ("trt.Builder(trt.Logger()).create_builder_config().set_flag(16)", "arg-type"),
        ("trt.Builder(trt.Logger()).create_builder_config().max_workspace_size = 1 << 30", "max_workspace_size"),
    ],
    ids=["a removed method", "an argument of another type", "a removed property"],
)
def test_a_wrong_call_fails_the_check(version: str, wrong: str, said: str, package: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(f"import tensorrt as trt\n\n{wrong}\n")
    run = check(version, package, ["wrong.py"], tmp_path)
    assert run.returncode == 1, run.stdout + run.stderr
    assert said in run.stdout


def test_precision_flags_that_11_removed_fail_there_and_not_before(package: Path, tmp_path: Path) -> None:
    (tmp_path / "weak.py").write_text("import tensorrt as trt\n\nprint(trt.BuilderFlag.FP16)\n")
    codes = {version: check(version, package, ["weak.py"], tmp_path).returncode for version in BINDINGS}
    assert codes == {"10.3.0": 0, "10.13.3.9": 0, "11.4.0.106": 1}


@pytest.mark.slow
def test_a_wrong_call_in_our_own_code_fails_the_check(package: Path, tmp_path: Path) -> None:
    source = (ROOT / "builder" / "engine" / "config.py").read_text(encoding="utf-8")
    assert "BuilderFlag.GPU_FALLBACK" in source
    (tmp_path / "changed.py").write_text(source.replace("BuilderFlag.GPU_FALLBACK", "BuilderFlag.FP16"))
    run = check("11.4.0.106", package, ["changed.py"], tmp_path)
    assert run.returncode == 1 and "FP16" in run.stdout, run.stdout + run.stderr
