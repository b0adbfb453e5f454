"""Compile and install pycuda into this environment, without a GPU and without a CUDA toolkit. `make test` runs it once.

The headers come from NVIDIA's wheels, the symbols of the driver from the tests' own driver in host memory (driver/driver.cpp).
Everything is kept in `build/pycuda`, so that a later environment takes the wheel that an earlier one compiled.
"""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

PYCUDA = "pycuda==2026.1"
HEADERS = ("nvidia-cuda-runtime==13.0.96", "nvidia-cuda-crt==13.0.88", "nvidia-cuda-profiler-api==13.0.85")
HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[2] / "build" / "pycuda"
INCLUDE = FOLDER / "headers" / "nvidia" / "cu13" / "include"


def pip(*arguments: str, **environment: str) -> None:
    """Run pip of this environment."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, env=os.environ | environment)


def compile_driver(include: Path, library: Path) -> None:
    """Compile the driver in host memory as `library`, with the name that programs look for."""
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-Wl,-soname,libcuda.so.1"]
    source = str(HERE / "driver" / "driver.cpp")
    library.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["c++", *flags, f"-I{include}", source, "-o", str(library), "-ldl"], check=True)


def build_wheel(wheels: Path) -> None:
    """Compile pycuda into a wheel in the folder `wheels`."""
    pip("install", "--quiet", "--no-deps", "--upgrade", "--target", str(FOLDER / "headers"), *HEADERS)
    pip("download", "--quiet", "--no-deps", "--no-build-isolation", "--no-binary=pycuda", "-d", str(FOLDER), PYCUDA)
    name = PYCUDA.replace("==", "-")
    with tarfile.open(FOLDER / f"{name}.tar.gz") as archive:
        archive.extractall(FOLDER, filter="data")
    (FOLDER / name / "siteconf.py").write_text("CUDA_ENABLE_CURAND = False\n", encoding="utf-8")
    compile_driver(INCLUDE, FOLDER / "link" / "libcuda.so")
    paths = {"CUDA_ROOT": str(INCLUDE.parent), "CPATH": str(INCLUDE), "LIBRARY_PATH": str(FOLDER / "link")}
    quick = {"CFLAGS": "-w -O0 -g0"}
    pip(
        "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(FOLDER / name), **paths, **quick
    )


def main() -> None:
    """Install pycuda, compiled now or by an earlier run for this Python."""
    wheels = FOLDER / f"wheels-{sys.implementation.cache_tag}"
    if not any(wheels.glob("pycuda-*.whl")):
        build_wheel(wheels)
    (wheel,) = wheels.glob("pycuda-*.whl")
    pip("install", "--quiet", "--no-deps", str(wheel))
    pip("install", "--quiet", "pytools", "mako", "platformdirs")


if __name__ == "__main__":
    main()
