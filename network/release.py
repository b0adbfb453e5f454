"""The key layout of the authors' checkpoint `CA_20000.pth`.

Its backbone is the Torch-converted `resnext_101_32x4d`: nested Sequentials with lambdas, so a weight's name is a path of
numbers. In each block, `0.0` is the branch (`0.0.0` holds convolution, BatchNorm, ReLU, convolution, BatchNorm, ReLU;
`0.0.1` and `0.0.2` the last convolution and its BatchNorm) and `0.1` the shortcut.
"""

import re
from collections.abc import Callable
from typing import Any

from torch import Tensor

_STEM = {"0": "conv1", "1": "bn1"}
_BLOCK = {
    "0.0.0.0": "conv1",
    "0.0.0.1": "bn1",
    "0.0.0.3": "conv2",
    "0.0.0.4": "bn2",
    "0.0.1": "conv3",
    "0.0.2": "bn3",
    "0.1.0": "downsample.0",
    "0.1.1": "downsample.1",
}
_STEP = {"0": "conv1", "1": "bn1", "2": "act1", "3": "conv2", "4": "bn2", "5": "act2", "6": "conv3"}
_GATE = {"0": "reduce", "2": "expand"}

_KEYS: dict[str, Callable[..., str]] = {
    r"layer0\.(\d)": lambda index: f"backbone.{_STEM.get(index, index)}",
    r"layer([1-4])\.(\d+)\.((?:\d\.)*\d)": lambda stage, block, path: (
        f"backbone.layer{stage}.{block}.{_BLOCK.get(path, path)}"
    ),
    r"CAlayer([0-4])\.0\.conv_du\.([02])": lambda level, index: f"attention.{level}.{_GATE[index]}",
    r"predict(L2H|H2L)0": lambda pathway: f"{pathway.lower()}.start",
    r"predict(L2H|H2L)([1-4])\.([0-6])": lambda pathway, step, index: (
        f"{pathway.lower()}.steps.{int(step) - 1}.{_STEP[index]}"
    ),
}
"""What the name of a module in the checkpoint looks like, and what it is called in `BR2Net`."""


def is_release_layout(state: dict[str, Any]) -> bool:
    """Whether these keys are those of the authors' checkpoint."""
    return "predictL2H0.weight" in state and "CAlayer0.0.conv_du.0.weight" in state


def translate_release(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the keys of the authors' checkpoint to those of `BR2Net`; keys that it does not know are kept as they are."""
    return {_translate(key): value for key, value in state.items()}


def _translate(key: str) -> str:
    module, _, rest = key.removeprefix("module.").rpartition(".")
    for pattern, name in _KEYS.items():
        if match := re.fullmatch(pattern, module):
            return f"{name(*match.groups())}.{rest}"
    return key.removeprefix("module.")
