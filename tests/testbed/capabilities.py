"""What TensorRT for RTX's bindings have beyond TensorRT's: the compute capabilities to build for.

The core has them; the bindings that the test bed uses are TensorRT's, which leave them out. Three functions of the core's
builder configuration are therefore called by their place in its table of virtual functions, which NVIDIA keeps stable
between releases. The places were read from the symbols of that core's own `VShimBuilderConfig`.
"""

import ctypes
from enum import IntEnum
from types import ModuleType
from typing import Any

_SET_NUMBER, _GET_NUMBER, _SET = 55, 56, 57  # setNbComputeCapabilities, getNbComputeCapabilities, setComputeCapability
_PUBLIC_OBJECT = 16  # bytes into a pybind11 object, behind Python's own head
_IMPLEMENTATION = 8  # bytes into a public TensorRT object, behind its own table


class ComputeCapability(IntEnum):
    """As `tensorrt_rtx.ComputeCapability`."""

    CURRENT = 1
    SM75 = 75
    SM80 = 80
    SM86 = 86
    SM89 = 89
    SM120 = 120


def add_compute_capabilities(module: ModuleType) -> None:
    """Give the module, and its builder configuration, what `tensorrt_rtx` has of compute capabilities."""
    vars(module)["ComputeCapability"] = ComputeCapability
    config = vars(module)["IBuilderConfig"]
    config.num_compute_capabilities = property(
        lambda self: _call(self, _GET_NUMBER, ctypes.c_int32),
        lambda self, number: _call(self, _SET_NUMBER, ctypes.c_bool, number),
    )
    config.set_compute_capability = lambda self, capability, index: _call(
        self, _SET, ctypes.c_bool, int(capability), index
    )


def _call(config: object, place: int, result: Any, *arguments: int) -> Any:
    implementation = _pointer(_pointer(id(config) + _PUBLIC_OBJECT) + _IMPLEMENTATION)
    function = _pointer(_pointer(implementation) + place * ctypes.sizeof(ctypes.c_void_p))
    signature = ctypes.CFUNCTYPE(result, ctypes.c_void_p, *[ctypes.c_int32] * len(arguments))
    return signature(function)(implementation, *arguments)


def _pointer(address: int) -> int:
    return int(ctypes.c_void_p.from_address(address).value or 0)
