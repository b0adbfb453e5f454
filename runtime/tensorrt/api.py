"""The one place that imports TensorRT: `tensorrt` (10.3 to 11.x) or `tensorrt_rtx`, which have the same API.

Import this module only where TensorRT is about to be used: it raises MissingDependencyError where there is none.
With both installed the environment variable BR2NET_TENSORRT (`tensorrt` or `tensorrt_rtx`) says which one.
"""

import importlib
import os
from types import ModuleType
from typing import TYPE_CHECKING

from br2net.errors import InputError, MissingDependencyError
from br2net.runtime.engine_file import RTX, TENSORRT, Library

__all__ = ["FLAVOUR", "find_tensorrt", "library", "trt"]

_PIP_LINE = (
    "TensorRT is not installed; bring it with `pip install tensorrt-cu13` (or `tensorrt-cu12`, as your CUDA), with "
    "`pip install tensorrt-rtx` for TensorRT for RTX, or on a Jetson with `sudo apt install python3-libnvinfer`."
)


def find_tensorrt(preferred: str | None) -> tuple[str, ModuleType]:
    """Import TensorRT and say under which name it was found.

    Raises:
        MissingDependencyError: if there is none, or it is there and its libraries cannot be loaded.
        InputError: if `preferred` is neither `tensorrt` nor `tensorrt_rtx`.
    """
    if preferred not in (None, "", TENSORRT, RTX):
        raise InputError(f"BR2NET_TENSORRT is {preferred!r}; it can be {TENSORRT} or {RTX}.")
    for name in (preferred,) if preferred else (TENSORRT, RTX):
        try:
            return name, importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] != name:
                raise MissingDependencyError(
                    f"{name} is installed without its part {error.name}; {_PIP_LINE}"
                ) from error
        except ImportError as error:
            raise MissingDependencyError(f"{name} is installed and does not load ({error}).") from error
    raise MissingDependencyError(_PIP_LINE)


if TYPE_CHECKING:
    import tensorrt as trt

    FLAVOUR = TENSORRT
else:
    FLAVOUR, trt = find_tensorrt(os.environ.get("BR2NET_TENSORRT"))


def library() -> Library:
    """Which TensorRT this is."""
    return Library(FLAVOUR, trt.__version__)
