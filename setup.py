"""Folder map: each folder at the root is the package `br2net.<folder>`; `app/` is `br2net` itself. And the native part."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

FOLDERS = {
    "br2net": "app",
    "br2net.live": "live",
    "br2net.calibration": "calibration",
    "br2net.benchmarks": "benchmarks",
    "br2net.builder": "builder",
    "br2net.training": "training",
    "br2net.datasets": "datasets",
    "br2net.runtime": "runtime",
    "br2net.network": "network",
}
NATIVE = "runtime/native"
SOURCES = ("*.cpp", "*.h", "*.cu", "*.map", "*.cmake", "CMakeLists.txt")
LIBRARY = "libbr2net_native.so"
FATBIN = "kernels.fatbin"
OUTPUTS = (LIBRARY, FATBIN, "build.json")

package_dir = dict(FOLDERS)
for package, folder in FOLDERS.items():
    for subpackage in find_packages(folder, exclude=["scripts", "scripts.*"]):
        package_dir[f"{package}.{subpackage}"] = f"{folder}/{subpackage.replace('.', '/')}"


class BuildNative(build_ext):
    """Compile `runtime/native` with CMake, where there is one and a C++ compiler; without, OpenCV does the same work.

    BR2NET_NATIVE=0 leaves it out, BR2NET_CUDA=0 its CUDA kernels. `build.json` beside the library says what was built.
    """

    def run(self) -> None:
        target = Path(self.build_lib) / "br2net" / NATIVE
        target.mkdir(parents=True, exist_ok=True)
        for name in OUTPUTS:
            (target / name).unlink(missing_ok=True)
        facts = {"reason": "", "cuda": {"reason": "nothing was compiled", "nvcc": "", "architectures": []}}
        try:
            folder = configure_native()
            shutil.copy(compile_native(folder, "br2net_native", LIBRARY), target)
            facts["cuda"] = json.loads((folder / NATIVE / "cuda.json").read_text(encoding="utf-8"))
        except (OSError, subprocess.CalledProcessError) as error:
            facts["reason"] = reason_of(error)
            self.warn(
                f"The native part was not compiled: {facts['reason']}. The package works without, through OpenCV."
            )
        if facts["cuda"]["architectures"]:
            try:
                shutil.copy(compile_native(folder, "br2net_fatbin", FATBIN), target)
            except (OSError, subprocess.CalledProcessError) as error:
                facts["cuda"] = {"reason": f"nvcc: {reason_of(error)}", "nvcc": "", "architectures": []}
                self.warn(f"The CUDA kernels were not compiled: {reason_of(error)}. The package works without.")
        (target / "build.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")

    def get_outputs(self) -> list[str]:
        target = Path(self.build_lib) / "br2net" / NATIVE
        return [str(target / name) for name in OUTPUTS if (target / name).is_file()]

    def get_output_mapping(self) -> dict[str, str]:
        return {}


def configure_native() -> Path:
    """Prepare the build folder. An earlier build goes on, unless it is of another place."""
    if os.environ.get("BR2NET_NATIVE") == "0":
        raise OSError("BR2NET_NATIVE was 0 when this was installed")
    folder = Path("build/native").absolute()
    cuda = "OFF" if os.environ.get("BR2NET_CUDA") == "0" else "ON"
    configure = ["cmake", "-S", ".", "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release", "-DBR2NET_TESTBED=OFF"]
    configure += [f"-DBR2NET_CUDA={cuda}", f"-DBR2NET_PYTHON={sys.executable}"]
    try:
        subprocess.run(configure, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(configure, check=True, capture_output=True, text=True)
    return folder


def compile_native(folder: Path, target: str, output: str) -> Path:
    """Build one target; gives the file that it makes."""
    command = ["cmake", "--build", str(folder), "--parallel", "2", "--target", target]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return folder / NATIVE / output


def reason_of(error: Exception) -> str:
    """One clause: no CMake, no compiler, or the last line of what the compiler said."""
    if isinstance(error, FileNotFoundError) and error.filename == "cmake":
        return "there was no cmake when this was installed"
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line.strip() for line in (error.stdout + error.stderr).splitlines() if "rror" in line]
        if any("CMAKE_CXX_COMPILER" in line for line in (error.stdout + error.stderr).splitlines()):
            return "there was no C++ compiler when this was installed"
        return f"the compiler failed ({lines[0] if lines else f'exit status {error.returncode}'})"
    return str(error)


class NativeWheel(bdist_wheel):
    """The library is called through ctypes, so a wheel fits every Python 3; without the library, every platform too."""

    def get_tag(self) -> tuple[str, str, str]:
        compiled = (Path(self.get_finalized_command("build").build_lib) / "br2net" / NATIVE / LIBRARY).is_file()
        return ("py3", "none", super().get_tag()[2] if compiled else "any")


setup(
    packages=list(package_dir),
    package_dir=package_dir,
    ext_modules=[
        Extension(
            "br2net.runtime.native.library",
            sources=[
                "CMakeLists.txt",
                *(str(path) for pattern in SOURCES for path in sorted(Path(NATIVE).glob(pattern))),
            ],
        )
    ],
    cmdclass={"build_ext": BuildNative, "bdist_wheel": NativeWheel},
)
