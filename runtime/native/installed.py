"""Native parts that the installation built, and the switch that turns them off."""

import json
import os
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).with_name("libbr2net_native.so")
FATBIN = Path(__file__).with_name("kernels.fatbin")
FACTS = Path(__file__).with_name("build.json")
SWITCH = "BR2NET_NATIVE"
REMEDY = "install CMake and a C++ compiler, then install br2net again"


def is_switched_off() -> bool:
    """Return whether the environment has `BR2NET_NATIVE=0`."""
    return os.environ.get(SWITCH) == "0"


def build_facts() -> dict[str, Any]:
    """Return what the installation wrote: `reason`, and `cuda` with `reason`, `nvcc` and `architectures`."""
    try:
        facts: dict[str, Any] = json.loads(FACTS.read_text(encoding="utf-8"))
    except FileNotFoundError:
        reason = "the installation did not compile anything"
        return {"reason": reason, "cuda": {"reason": reason, "nvcc": "", "architectures": []}}
    return facts
