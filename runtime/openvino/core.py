"""OpenVINO's core, one for the whole process."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openvino import Core


@cache
def shared_core(make: "Callable[[], Core]") -> "Core":
    """The one core of this process, made by `make` (`openvino.Core`) at the first call and never given up.

    A core's CPU plugin gives the thread that loads it a stack for signal handlers, and frees that memory when the core
    goes, perhaps while it is still the thread's: with a core for each model the next Ctrl-C ended in a segmentation fault.
    """
    return make()
