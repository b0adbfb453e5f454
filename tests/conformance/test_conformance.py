"""Our use of TensorRT, type-checked against NVIDIA's own signatures of three versions."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from .generate import BINDINGS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STAGES = ("network", "training", "datasets", "calibration", "builder", "runtime", "live", "benchmarks")


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
    """Every source file that imports TensorRT, or a module of this package which does: their objects pass on."""
    sources = [path for stage in (*STAGES, "app") for path in (ROOT / stage).rglob("*.py")]
    imports = {path: _imports(path) for path in sources}
    direct = {dotted(path) for path in sources if {"tensorrt", "tensorrt_rtx"} & imports[path]}
    return sorted(path for path in sources if dotted(path) in direct or direct & imports[path])


def _imports(path: Path) -> set[str]:
    """Names of what a file imports, anywhere in it; of `from a import b` both `a` and `a.b`, since b may be a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy knows already; it notices by itself that another version's signatures are others."""
    return tmp_path_factory.mktemp("mypy")


def check(
    version: str, package: Path, arguments: list[str], folder: Path, known: Path
) -> subprocess.CompletedProcess[str]:
    """Run mypy --strict in `folder` with the signatures of `version` as the module `tensorrt`."""
    (folder / "mypy.ini").write_text(
        f"[mypy]\nstrict = True\nmypy_path = {HERE / 'stubs' / version}:{package}\nfollow_imports = silent\n"
        "disable_error_code = import-untyped, import-not-found\nwarn_unused_ignores = False\n"
    )
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", str(known), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def dotted(path: Path) -> str:
    """`builder/engine/plan.py` as `br2net.builder.engine.plan`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("br2net", *(parts[1:] if parts[0] == "app" else parts)))


def test_the_modules_that_use_tensorrt_are_found() -> None:
    names = {dotted(path) for path in modules_using_tensorrt()}
    building = {"br2net.builder.engine.config", "br2net.builder.engine.execution", "br2net.builder.engine.plan"}
    running = {"br2net.runtime.tensorrt.api", "br2net.runtime.tensorrt.log", "br2net.runtime.tensorrt.plan"}
    assert building | running <= names
    assert "br2net.runtime.preprocessing" not in names


@pytest.mark.slow
@pytest.mark.parametrize("version", BINDINGS)
def test_our_use_of_tensorrt_fits_its_signatures(version: str, package: Path, tmp_path: Path, known: Path) -> None:
    arguments = [part for path in modules_using_tensorrt() for part in ("-m", dotted(path))]
    run = check(version, package, arguments, tmp_path, known)
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
def test_a_wrong_call_fails_the_check(
    version: str, wrong: str, said: str, package: Path, tmp_path: Path, known: Path
) -> None:
    (tmp_path / "wrong.py").write_text(f"import tensorrt as trt\n\n{wrong}\n")
    run = check(version, package, ["wrong.py"], tmp_path, known)
    assert run.returncode == 1, run.stdout + run.stderr
    assert said in run.stdout


def test_precision_flags_that_11_removed_fail_there_and_not_before(package: Path, tmp_path: Path, known: Path) -> None:
    (tmp_path / "weak.py").write_text("import tensorrt as trt\n\nprint(trt.BuilderFlag.FP16)\n")
    codes = {version: check(version, package, ["weak.py"], tmp_path, known).returncode for version in BINDINGS}
    assert codes == {"10.3.0": 0, "10.13.3.9": 0, "11.4.0.106": 1}


@pytest.mark.slow
def test_a_wrong_call_in_our_own_code_fails_the_check(package: Path, tmp_path: Path, known: Path) -> None:
    source = (ROOT / "builder" / "engine" / "config.py").read_text(encoding="utf-8")
    assert "BuilderFlag.GPU_FALLBACK" in source
    (tmp_path / "changed.py").write_text(source.replace("BuilderFlag.GPU_FALLBACK", "BuilderFlag.FP16"))
    run = check("11.4.0.106", package, ["changed.py"], tmp_path, known)
    assert run.returncode == 1 and "FP16" in run.stdout, run.stdout + run.stderr
