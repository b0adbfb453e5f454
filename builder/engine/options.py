"""Options of a build."""

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
        profile: input shapes to accept; None for the default size of the ONNX file, one image.
        workspace_mib: most GPU memory that one layer may use as scratch; None leaves it to TensorRT (all there is).
        optimisation_level: 0 (fast build) to 5 (fast engine); None for TensorRT's default of 3.
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
            raise InputError(f"level must be between 0 and 5, got {self.optimisation_level}.")
        if self.workspace_mib is not None and self.workspace_mib < 1:
            raise InputError(f"workspace must be at least 1 MiB, got {self.workspace_mib}.")
        if self.targets and self.hardware is not Hardware.THIS_GPU:
            raise InputError(
                "Give either --for, which names GPUs, or --hardware, which starts from the GPU of this machine."
            )
        for target in self.targets:
            compute_capability_of(target)


def compute_capability_of(target: str) -> str:
    """Return `sm89` as `8.9`, `sm120` as `12.0`, and `any` as `8.6+` (the default of TensorRT for RTX).

    Raises:
        InputError: if the target is none of these.
    """
    if target == ANY_RTX:
        return "8.6+"
    match = re.fullmatch(r"sm(\d{1,2})(\d)", target)
    if match is None:
        raise InputError(f"Unknown GPU target {target!r}; use for example sm86,sm89,sm120 or any.")
    return f"{match[1]}.{match[2]}"


def parse_profile(batch: str, size: str) -> Profile:
    """Read a profile from `4` or `1:2:4` and `320x320` or `256x256:320x320:640x640` (min, opt, max).

    Raises:
        InputError: if it is not of that form or not in ascending order.
    """
    batches = _triple(batch, r"\d+", "batch", "1 or 1:2:4")
    sizes = _triple(size, r"\d+x\d+", "size", "320x320 or 256x256:320x320:640x640")
    pixels = [tuple(map(int, text.split("x"))) for text in sizes]
    shapes = [InputShape(int(b), width, height) for b, (width, height) in zip(batches, pixels, strict=True)]
    for smaller, larger in pairwise(shapes):
        if any(low > high for low, high in zip(smaller.sides(), larger.sides(), strict=True)):
            raise InputError(f"A profile must ascend from min to max, got {smaller} before {larger}.")
    if min(shapes[0].sides()) < 1:
        raise InputError(f"A profile must start at 1 or more, got {shapes[0]}.")
    return Profile(*shapes)


def _triple(text: str, one: str, name: str, example: str) -> list[str]:
    if re.fullmatch(rf"{one}(:{one}:{one})?", text) is None:
        raise InputError(f"{name} must be like {example}, got {text!r}.")
    parts = text.split(":")
    return parts if len(parts) == 3 else parts * 3
