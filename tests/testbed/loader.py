"""NVIDIA's Python bindings over NVIDIA's RTX core: a real ONNX parser and a real builder on a machine without a GPU.

Needs the packages tensorrt-cu13-bindings and onnxruntime-ep-nv-tensorrt-rtx-cu13 (both from the ordinary registry),
CMake and a C++ compiler. What loads is TensorRT for RTX, so it is offered under that name, with the version of the
core and not of the bindings.
"""

import ctypes
import importlib
import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

from .capabilities import add_compute_capabilities

CORE_PACKAGE = "onnxruntime_ep_nv_tensorrt_rtx"
BINDINGS_PACKAGE = "tensorrt_bindings"
FORWARDERS = ("nvinfer", "nvonnxparser", "nvinfer_plugin")


def why_not() -> str | None:
    """What is missing for the test bed, or None."""
    for package in (CORE_PACKAGE, BINDINGS_PACKAGE):
        if importlib.util.find_spec(package) is None:
            return f"the package {package} is not installed"
    for tool in ("cmake", "c++"):
        if shutil.which(tool) is None:
            return f"there is no {tool}"
    return None


def build_forwarders(folder: Path) -> None:
    """Compile the forwarding libraries into `folder`."""
    configure = ["cmake", "-S", str(Path(__file__).parent), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release"]
    for command in (configure, ["cmake", "--build", str(folder)]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def load(folder: Path) -> ModuleType:
    """Load core, parser, forwarders (from `folder`) and bindings, as a module to offer as `tensorrt_rtx`."""
    spec = importlib.util.find_spec(CORE_PACKAGE)
    assert spec is not None and spec.origin is not None
    core = ctypes.CDLL(str(_only(Path(spec.origin).parent, "libtensorrt_rtx.so.*")))
    ctypes.CDLL(str(_only(Path(spec.origin).parent, "libtensorrt_onnxparser_rtx.so.*")))
    for name in FORWARDERS:
        ctypes.CDLL(str(folder / f"lib{name}.so.11"))
    bindings = importlib.import_module(BINDINGS_PACKAGE)
    module = ModuleType("tensorrt_rtx")
    module.__dict__.update({name: value for name, value in vars(bindings).items() if not name.startswith("__")})
    parts = ("Major", "Minor", "Patch", "Build")
    module.__dict__["__version__"] = ".".join(str(getattr(core, f"getInferLib{part}Version")()) for part in parts)
    add_compute_capabilities(module)
    return module


def _only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path
