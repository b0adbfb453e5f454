"""The key layout of the authors' checkpoint `CA_20000.pth`.

Its backbone is the Torch-converted `resnext_101_32x4d`: nested Sequentials with lambdas, so a weight's name is a path of
numbers. In each block, `0.0` is the branch (`0.0.0` holds convolution, BatchNorm, ReLU, convolution, BatchNorm, ReLU;
`0.0.1` and `0.0.2` the last convolution and its BatchNorm) and `0.1` the shortcut.
"""

import re
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

_STEM_KEY = re.compile(r"layer0\.(\d)\.(\w+)$")
_BLOCK_KEY = re.compile(r"layer([1-4])\.(\d+)\.((?:\d\.)*\d)\.(\w+)$")
_GATE_KEY = re.compile(r"CAlayer([0-4])\.0\.conv_du\.([02])\.(\w+)$")
_START_KEY = re.compile(r"predict(L2H|H2L)0\.(\w+)$")
_STEP_KEY = re.compile(r"predict(L2H|H2L)([1-4])\.([0-6])\.(\w+)$")


def is_release_layout(state: dict[str, Any]) -> bool:
    """Whether these keys are those of the authors' checkpoint."""
    return "predictL2H0.weight" in state and "CAlayer0.0.conv_du.0.weight" in state


def translate_release(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the keys of the authors' checkpoint to those of `BR2Net`; keys that it does not know are kept as they are."""
    return {_translate(key): value for key, value in state.items()}


def _translate(key: str) -> str:
    key = key.removeprefix("module.")
    if match := _STEM_KEY.match(key):
        index, rest = match.groups()
        return f"backbone.{_STEM.get(index, index)}.{rest}"
    if match := _BLOCK_KEY.match(key):
        stage, block, inside, rest = match.groups()
        return f"backbone.layer{stage}.{block}.{_BLOCK.get(inside, inside)}.{rest}"
    if match := _GATE_KEY.match(key):
        level, index, rest = match.groups()
        return f"attention.{level}.{_GATE[index]}.{rest}"
    if match := _START_KEY.match(key):
        pathway, rest = match.groups()
        return f"{pathway.lower()}.start.{rest}"
    if match := _STEP_KEY.match(key):
        pathway, step, index, rest = match.groups()
        return f"{pathway.lower()}.steps.{int(step) - 1}.{_STEP[index]}.{rest}"
    return key
