"""What gets installed: `br2net` and nothing else, and nothing heavy that was not asked for."""

import configparser
import os
import re
import shutil
import subprocess
import sys
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


def test_the_wheel_installs_nothing_at_top_level_but_br2net(wheel: zipfile.ZipFile) -> None:
    assert {name.split("/")[0] for name in wheel.namelist()} == {"br2net", f"br2net-{br2net.__version__}.dist-info"}


def test_the_wheel_holds_every_module_of_every_stage(wheel: zipfile.ZipFile) -> None:
    stages = ("network", "training", "calibration", "builder", "runtime", "benchmarks")
    sources = {f"br2net/{path.relative_to(ROOT)}" for stage in stages for path in (ROOT / stage).rglob("*.py")}
    sources |= {f"br2net/{path.relative_to(ROOT / 'app')}" for path in (ROOT / "app").rglob("*.py")}
    assert sources <= set(wheel.namelist())


def test_the_wheel_holds_the_models_and_every_other_file_that_is_no_module(wheel: zipfile.ZipFile) -> None:
    models = {f"br2net/models/{path.name}" for path in (ROOT / "app" / "models").glob("*")}
    others = {"br2net/py.typed", "br2net/training/held_out.txt", "br2net/benchmarks/accuracy/report.html"}
    others |= {"br2net/benchmarks/report/style.css", "br2net/calibration/report.html"}
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


def test_no_extra_brings_two_packages_of_onnx_runtime() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    with_modelopt = {name for name, lines in extras.items() if any("nvidia-modelopt[onnx]" in line for line in lines)}
    with_onnxruntime = {name for name, lines in extras.items() if any(is_onnxruntime(line) for line in lines)}
    assert with_modelopt == {"build"}
    assert with_onnxruntime == {"onnxruntime"}
    assert not any("onnxruntime]" in line or ",onnxruntime" in line for line in extras["dev"])
