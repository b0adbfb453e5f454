"""The C++ library through ctypes. Calls release the interpreter's lock; every buffer stays the caller's."""

import ctypes
import functools
import logging
import os
from ctypes import POINTER, c_char_p, c_float, c_int, c_int32, c_int64, c_void_p
from dataclasses import dataclass
from pathlib import Path

from br2net.log import warn_once
from br2net.runtime.native import installed
from br2net.runtime.native.installed import REMEDY, is_switched_off

_log = logging.getLogger("br2net.runtime.native")


class CFrame(ctypes.Structure):
    """`Frame` of interface.h."""

    _fields_ = (
        ("pixels", c_void_p),
        ("chroma", c_void_p),
        ("pitch", c_int64),
        ("chroma_pitch", c_int64),
        ("width", c_int32),
        ("height", c_int32),
        ("format", c_int32),
        ("unused", c_int32),
    )


class CAxis(ctypes.Structure):
    """`Axis` of interface.h."""

    _fields_ = (
        ("start", c_void_p),
        ("count", c_void_p),
        ("weight", c_void_p),
        ("near", c_void_p),
        ("far", c_void_p),
        ("near_weight", c_void_p),
        ("far_weight", c_void_p),
        ("taps", c_int32),
        ("shrunk", c_int32),
    )


class CMapSide(ctypes.Structure):
    """`MapSide` of interface.h."""

    _fields_ = (("near", c_void_p), ("far", c_void_p), ("near_weight", c_void_p), ("far_weight", c_void_p))


class CInput(ctypes.Structure):
    """`Input` of interface.h."""

    _fields_ = (
        ("planes", c_void_p),
        ("width", c_int32),
        ("height", c_int32),
        ("half", c_int32),
        ("unused", c_int32),
        ("scale", c_float * 3),
        ("shift", c_float * 3),
    )


class CPictures(ctypes.Structure):
    """`Pictures` of interface.h."""

    _fields_ = (
        ("map", c_void_p),
        ("grey", c_void_p),
        ("overlay", c_void_p),
        ("histogram", c_void_p),
        ("blurred", c_void_p),
        ("width", c_int32),
        ("height", c_int32),
        ("opacity", c_float),
        ("tint", c_int32 * 3),
    )


@dataclass(frozen=True)
class Status:
    """State of the native part.

    Attributes:
        built: True if the CPU library is there and can be loaded.
        used: True if it is used; not where BR2NET_NATIVE=0 switches it off.
        how: compiler and instruction set in use, for example `GNU 12.2.0, avx2`; empty where it is not built.
        reason: why it is not built or not used, one clause; empty where it is.
        remedy: advice; empty where nothing needs doing.
        fatbin_architectures: targets of the CUDA kernels: `sm_75` or, for PTX, `compute_121`; empty without.
        nvcc: version of the CUDA compiler, as `13.0.88`; empty without kernels.
        fatbin_reason: why there are no CUDA kernels, one clause; empty where there are.
    """

    built: bool
    used: bool
    how: str
    reason: str
    remedy: str
    fatbin_architectures: tuple[str, ...]
    nvcc: str
    fatbin_reason: str


@functools.cache
def open_library() -> ctypes.CDLL:
    """The library, its functions typed.

    Raises:
        OSError: if it is not there, or is of another platform.
    """
    return load(installed.LIBRARY)


def load(path: Path) -> ctypes.CDLL:
    """A library of this interface from a file.

    Raises:
        OSError: if it is not there, or is of another platform.
    """
    library = ctypes.CDLL(str(path))
    library.br2net_preprocess.argtypes = [POINTER(CFrame), POINTER(CInput), c_int]
    library.br2net_postprocess.argtypes = [c_void_p, c_int, c_int, POINTER(CFrame), POINTER(CPictures), c_int]
    library.br2net_plan.argtypes = [c_int, c_int, c_int, c_int, POINTER(CAxis), POINTER(c_float)]
    library.br2net_map_plan.argtypes = [c_int, c_int, c_int, c_int, POINTER(CMapSide)]
    for name in ("br2net_compiler", "br2net_instructions"):
        getattr(library, name).restype = c_char_p
    return library


def status() -> Status:
    """Load the library if it is there and return the state of the native part; log nothing."""
    facts = installed.build_facts()
    cuda = (
        facts["cuda"]
        if installed.FATBIN.is_file()
        else {"architectures": [], "nvcc": "", "reason": facts["cuda"]["reason"]}
    )
    how = reason = remedy = ""
    try:
        library = open_library()
        how = f"{library.br2net_compiler().decode()}, {library.br2net_instructions().decode()}"
    except OSError as error:
        reason, remedy = str(facts["reason"]) or str(error), REMEDY
    if how and is_switched_off():
        reason = f"{installed.SWITCH}=0 switches it off"
    return Status(
        bool(how), not reason, how, reason, remedy, tuple(cuda["architectures"]), cuda["nvcc"], cuda["reason"]
    )


def is_available() -> bool:
    """Return whether to use the library: it can be loaded, and BR2NET_NATIVE=0 does not switch it off.

    Where it cannot be loaded, warn once.
    """
    return not is_switched_off() and _loads()


@functools.cache
def _loads() -> bool:
    try:
        open_library()
    except OSError as error:
        warn_once(_log, f"The native part cannot be used ({error}): OpenCV does its work, slower. To fix it: {REMEDY}.")
        return False
    return True


def checked(code: int) -> None:
    """Turn what a function of the library returned into an exception.

    Raises:
        MemoryError: if the library had not enough memory.
    """
    if code:
        raise MemoryError("The native part had not enough memory for an image.")


@functools.cache
def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count(threads: int) -> int:
    """Threads for one call: `threads`, or where that is 0, OMP_NUM_THREADS, else every processor that this process may use."""
    if threads > 0:
        return threads
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return max(int(asked), 1) if asked.isdigit() else _processors()
