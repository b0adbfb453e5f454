"""What a user may say about a build."""

import re
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from br2net.errors import InputError
from br2net.runtime.engine_file import InputShape, Profile

ANY_RTX = "any"


class Hardware(Enum):
    """Which GPUs an engine is for. Wider means slower, and needs a GPU that can stand for all of them."""

    THIS_GPU = "this-gpu"
    SAME_COMPUTE_CAPABILITY = "same-compute-capability"
    AMPERE_AND_LATER = "ampere-and-later"


@dataclass(frozen=True)
class BuildOptions:
    """How an engine is built. Precision is not here: it lives in the ONNX file.

    Attributes:
        profile: input shapes to accept; None for the one shape of an ONNX file that has only one.
        workspace_mib: most GPU memory that one layer may use as scratch; None leaves it to TensorRT (all there is).
        optimisation_level: 0 (fast build) to 5 (fast engine); None leaves TensorRT's default of 3.
        version_compatible: let later TensorRT versions of the same major number run it.
        hardware: which GPUs it is for.
        strip_weights: leave the weights out of the plan; `refit_engine` fills them in from the ONNX file.
        dla_core: build for this deep learning accelerator of a Jetson, with the GPU for what it cannot do; None for the
            GPU alone.
        targets: TensorRT for RTX only: compute capabilities as `sm89` to build for ahead of time, or `any`.
        timing_cache: keep measured layer times for the next build on this machine.
    """

    profile: Profile | None = None
    workspace_mib: int | None = None
    optimisation_level: int | None = None
    version_compatible: bool = False
    hardware: Hardware = Hardware.THIS_GPU
    strip_weights: bool = False
    dla_core: int | None = None
    targets: tuple[str, ...] = ()
    timing_cache: bool = True

    def __post_init__(self) -> None:
        if self.optimisation_level is not None and not 0 <= self.optimisation_level <= 5:
            raise InputError(f"An optimisation level of {self.optimisation_level} is not possible; it is 0 to 5.")
        if self.workspace_mib is not None and self.workspace_mib < 1:
            raise InputError(f"A workspace of {self.workspace_mib} MiB is not possible; it is 1 or more.")
        if self.targets and self.hardware is not Hardware.THIS_GPU:
            raise InputError("--for names GPUs and --hardware goes by the one that is here; say only one of them.")
        for target in self.targets:
            compute_capability_of(target)


def compute_capability_of(target: str) -> str:
    """`sm89` as `8.9`, `sm120` as `12.0`, and `any` as `8.6+` (what TensorRT for RTX builds for unless told).

    Raises:
        InputError: if the target is none of these.
    """
    if target == ANY_RTX:
        return "8.6+"
    match = re.fullmatch(r"sm(\d{1,2})(\d)", target)
    if match is None:
        raise InputError(f"There is no GPU target {target!r}; say for example sm86,sm89,sm120 or any.")
    return f"{match[1]}.{match[2]}"


def parse_profile(batch: str, size: str) -> Profile:
    """Read a profile from `4` or `1:2:4` and `320x320` or `256x256:320x320:640x640` (smallest, typical, largest).

    Raises:
        InputError: if it is not of that form or not in ascending order.
    """
    batches = _triple(batch, r"\d+", "batch", "1 or 1:2:4")
    sizes = _triple(size, r"\d+x\d+", "size", "320x320 or 256x256:320x320:640x640")
    pixels = [tuple(map(int, text.split("x"))) for text in sizes]
    shapes = [InputShape(int(b), width, height) for b, (width, height) in zip(batches, pixels, strict=True)]
    for smaller, larger in pairwise(shapes):
        if any(low > high for low, high in zip(smaller.sides(), larger.sides(), strict=True)):
            raise InputError(f"A profile goes from small to large, and {smaller} is not smaller than {larger}.")
    if min(shapes[0].sides()) < 1:
        raise InputError(f"A profile cannot begin at {shapes[0]}.")
    return Profile(*shapes)


def _triple(text: str, one: str, name: str, example: str) -> list[str]:
    if re.fullmatch(rf"{one}(:{one}:{one})?", text) is None:
        raise InputError(f"{text!r} is no {name}; say for example {example}.")
    parts = text.split(":")
    return parts if len(parts) == 3 else parts * 3
