"""What gets installed: `br2net` and nothing else, and nothing heavy that was not asked for."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import tomllib

import br2net

ROOT = Path(__file__).resolve().parents[1]
NOT_SOURCE = shutil.ignore_patterns(
    "build", "dist", "demo", "runs", "data", ".*", "*.egg-info", "__pycache__", "*.pt", "docs"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of a clean copy of the sources: no `build/` of an earlier run can add to it."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=NOT_SOURCE)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), "source"]
    environment = {**os.environ, "BR2NET_CUDA": "0"}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of a clean copy of the sources."""
    folder = tmp_path_factory.mktemp("sdist")
    shutil.copytree(ROOT, folder / "source", ignore=NOT_SOURCE)
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(folder), "source"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return next(folder.glob("*.tar.gz"))


def test_the_source_distribution_holds_all_that_a_wheel_is_made_of(sdist: Path, wheel: zipfile.ZipFile) -> None:
    with tarfile.open(sdist) as archive:
        held = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    made = {"libbr2net_native.so", "build.json", "kernels.fatbin"}
    modules = {name.removeprefix("br2net/") for name in wheel.namelist() if name.startswith("br2net/")}
    missing = {name for name in modules if not {name, f"app/{name}"} & held and Path(name).name not in made}
    assert not missing
    native = {f"runtime/native/{path.name}" for path in (ROOT / "runtime" / "native").iterdir() if path.is_file()}
    assert native <= held and {"pyproject.toml", "setup.py", "CMakeLists.txt", "LICENSE", "README.md"} <= held


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_a_clean_environment_with_the_package_alone_detects(
    kind: str, sdist: Path, wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    archive = sdist if kind == "sdist" else Path(str(wheel.filename))
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "clean")], check=True)
    run = {"capture_output": True, "text": True, "check": False, "cwd": tmp_path}
    environment = {**os.environ, "BR2NET_CUDA": "0"}
    installed = subprocess.run([tmp_path / "clean/bin/pip", "install", "-q", str(archive)], env=environment, **run)  # type: ignore[call-overload]
    assert installed.returncode == 0, installed.stderr
    photograph = ROOT / "builder" / "reference" / "flower.jpg"
    ended = subprocess.run([tmp_path / "clean/bin/br2net", "detect", photograph, "-o", "blur"], **run)  # type: ignore[call-overload]
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "blur" / "flower_overlay.png").is_file()


def test_the_wheel_installs_nothing_at_top_level_but_br2net(wheel: zipfile.ZipFile) -> None:
    assert {name.split("/")[0] for name in wheel.namelist()} == {"br2net", f"br2net-{br2net.__version__}.dist-info"}


def test_the_wheel_holds_every_module_of_every_stage(wheel: zipfile.ZipFile) -> None:
    stages = ("live", "calibration", "benchmarks", "builder", "training", "datasets", "runtime", "network")
    sources = {f"br2net/{path.relative_to(ROOT)}" for stage in stages for path in (ROOT / stage).rglob("*.py")}
    sources = {name for name in sources if not name.startswith("br2net/benchmarks/scripts/")}
    sources |= {f"br2net/{path.relative_to(ROOT / 'app')}" for path in (ROOT / "app").rglob("*.py")}
    assert sources <= set(wheel.namelist())


def test_the_wheel_holds_no_program_to_run_by_hand(wheel: zipfile.ZipFile) -> None:
    assert not [name for name in wheel.namelist() if "scripts" in name or "results" in name]


def test_the_wheel_holds_the_models_and_every_other_file_that_is_no_module(wheel: zipfile.ZipFile) -> None:
    models = {f"br2net/models/{path.name}" for path in (ROOT / "app" / "models").glob("*")}
    others = {"br2net/py.typed", "br2net/training/held_out.txt", "br2net/benchmarks/accuracy/report.html"}
    others |= {"br2net/benchmarks/report/style.css", "br2net/calibration/report.html"}
    others |= {"br2net/builder/triton/python_model.py", "br2net/benchmarks/report/layout.html"}
    assert models | others <= set(wheel.namelist())


@pytest.mark.skipif(not shutil.which("cmake") or not shutil.which("c++"), reason="there is no CMake or no C++ compiler")
def test_the_wheel_holds_the_compiled_library_but_not_its_sources(wheel: zipfile.ZipFile) -> None:
    native = {Path(name).name for name in wheel.namelist() if name.startswith("br2net/runtime/native/")}
    assert {"libbr2net_native.so", "build.json"} <= native
    assert {Path(name).suffix for name in native} == {".py", ".so", ".json"}
    assert Path(str(wheel.filename)).stem.split("-")[2:4] == ["py3", "none"]


def test_the_wheel_holds_the_licence(wheel: zipfile.ZipFile) -> None:
    (licence,) = (name for name in wheel.namelist() if name.endswith("dist-info/licenses/LICENSE"))
    assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_the_wheel_declares_the_console_script(wheel: zipfile.ZipFile) -> None:
    entry_points = configparser.ConfigParser()
    entry_points.read_string(wheel.read(f"br2net-{br2net.__version__}.dist-info/entry_points.txt").decode())
    assert dict(entry_points["console_scripts"]) == {"br2net": "br2net.cli:main"}


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cmake = re.search(r"project\(br2net VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))
    assert cmake is not None
    assert br2net.__version__ == project["version"] == cmake[1]


def test_no_folder_at_the_root_hides_the_installed_package() -> None:
    assert not (ROOT / "br2net").exists()


def is_onnxruntime(requirement: str) -> bool:
    """Whether it installs the module `onnxruntime`; execution providers (`onnxruntime-ep-…`) have folders of their own."""
    return requirement.startswith("onnxruntime") and not requirement.startswith("onnxruntime-ep-")


def requirements_of(name: str, extras: dict[str, list[str]]) -> list[str]:
    """Requirements of an extra; one that names others of this package is followed."""
    found = []
    for line in extras[name]:
        named = re.fullmatch(r"br2net\[(.*)\]", line)
        found += [each for other in named[1].split(",") for each in requirements_of(other, extras)] if named else [line]
    return found


def test_no_extra_brings_two_packages_of_onnx_runtime() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    brought = {name: requirements_of(name, extras) for name in extras}
    with_modelopt = {name for name, lines in brought.items() if any("nvidia-modelopt[onnx]" in line for line in lines)}
    with_onnxruntime = {name for name, lines in brought.items() if any(is_onnxruntime(line) for line in lines)}
    assert with_modelopt == {"build", "dev"}
    assert with_onnxruntime == {"onnxruntime", "tensorrt", "tensorrt-cu12"}
