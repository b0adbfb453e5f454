"""mypy --strict of every module that touches TensorRT, against the real signatures of three versions of its API."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STUBS = Path(__file__).parent / "stubs"
VERSIONS = sorted(folder.name for folder in STUBS.iterdir())
STAGES = ("network", "training", "calibration", "builder", "runtime", "benchmarks")
OPTIONAL = ("polygraphy", "modelopt", "onnxruntime", "onnx", "cv2", "pycuda", "cuda", "openvino", "torch", "google")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder in which `br2net` is a package of copies that a test may change."""
    root = Path(__file__).parents[2]
    package = tmp_path / "source" / "br2net"
    shutil.copytree(root / "app", package, ignore=shutil.ignore_patterns("models", "__pycache__"))
    for stage in STAGES:
        shutil.copytree(root / stage, package / stage, ignore=shutil.ignore_patterns("__pycache__"))
    return package


def modules_that_touch_tensorrt(package: Path) -> list[Path]:
    texts = {path: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    return sorted(path for path, text in texts.items() if "tensorrt.api import" in text or "import tensorrt" in text)


def mypy(package: Path, version: str) -> subprocess.CompletedProcess[str]:
    ignored = "".join(f"[mypy-{name}.*]\nignore_missing_imports = true\n" for name in OPTIONAL)
    configuration = package.parent / "mypy.ini"
    configuration.write_text(
        "[mypy]\nstrict = true\nfollow_imports = silent\n"
        f"mypy_path = {package.parent}:{STUBS / version}\nexplicit_package_bases = true\n{ignored}"
    )
    modules = [str(path) for path in modules_that_touch_tensorrt(package)]
    cache = package.parent / f"cache-{version}"
    command = [sys.executable, "-m", "mypy", "--config-file", str(configuration), "--cache-dir", str(cache), *modules]
    return subprocess.run(command, capture_output=True, text=True, cwd=package.parent, check=False)


def test_the_three_versions_are_here() -> None:
    assert VERSIONS == ["10.13.3.9", "10.3.0", "11.4.0.106"]


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_all_modules_that_touch_tensorrt_fit_its_api(source: Path, version: str) -> None:
    names = {path.name for path in modules_that_touch_tensorrt(source)}
    assert {"plan.py", "config.py", "network.py", "progress.py", "execution.py", "log.py"} <= names
    checked = mypy(source, version)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("BuilderFlag.GPU_FALLBACK", "BuilderFlag.FP16", 'has no attribute "FP16"'),  # a flag that 11 removed
        ("builder.create_builder_config()", "builder.create_config()", 'has no attribute "create_config"'),
        ("options.workspace_mib << 20", '"1 GiB"', "incompatible type"),
    ],
)
def test_a_wrong_call_makes_the_check_fail(source: Path, right: str, wrong: str, complaint: str) -> None:
    config = source / "builder" / "engine" / "config.py"
    text = config.read_text(encoding="utf-8")
    assert right in text
    config.write_text(text.replace(right, wrong), encoding="utf-8")
    checked = mypy(source, "11.4.0.106")
    assert checked.returncode == 1
    assert complaint in checked.stdout
