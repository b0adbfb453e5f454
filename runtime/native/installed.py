"""What of the native part was built when this was installed, and whether it is in use."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).with_name("libbr2net_native.so")
FATBIN = Path(__file__).with_name("kernels.fatbin")
FACTS = Path(__file__).with_name("build.json")
SWITCH = "BR2NET_NATIVE"
REMEDY = "install CMake and a C++ compiler, then install br2net again"


@dataclass(frozen=True)
class Status:
    """State of the native part.

    Attributes:
        built: whether the CPU library is there and can be loaded.
        used: whether it is used; not where BR2NET_NATIVE=0 switches it off.
        how: what compiled it and which of its versions runs here, as `GNU 12.2.0, avx2`; empty where it is not built.
        reason: why it is not built or not used, one clause; empty where it is.
        remedy: what to do about that; empty where nothing needs doing.
        fatbin_architectures: what the CUDA kernels were compiled for, as `sm_75` or, for PTX, `compute_121`; empty without.
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


def is_switched_off() -> bool:
    """Whether the environment says `BR2NET_NATIVE=0`."""
    return os.environ.get(SWITCH) == "0"


def status() -> Status:
    """State of the native part; loads the library where it is there, and says nothing by itself."""
    from br2net.runtime.native.library import open_library

    facts = _facts()
    cuda = facts["cuda"] if FATBIN.is_file() else {"architectures": [], "nvcc": "", "reason": facts["cuda"]["reason"]}
    how = reason = remedy = ""
    try:
        library = open_library()
        how = f"{library.br2net_compiler().decode()}, {library.br2net_instructions().decode()}"
    except OSError as error:
        reason, remedy = why_not_built(error), REMEDY
    if how and is_switched_off():
        reason = f"{SWITCH}=0 switches it off"
    return Status(
        bool(how), not reason, how, reason, remedy, tuple(cuda["architectures"]), cuda["nvcc"], cuda["reason"]
    )


def why_not_built(error: OSError) -> str:
    """What the installation says of a library that cannot be loaded; else what the loader said. One clause."""
    return str(_facts()["reason"]) or str(error)


def _facts() -> dict[str, Any]:
    """What the installation wrote: `reason`, and `cuda` with `reason`, `nvcc` and `architectures`."""
    try:
        facts: dict[str, Any] = json.loads(FACTS.read_text(encoding="utf-8"))
    except FileNotFoundError:
        reason = "the installation did not compile anything"
        return {"reason": reason, "cuda": {"reason": reason, "nvcc": "", "architectures": []}}
    return facts
