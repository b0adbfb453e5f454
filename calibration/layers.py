"""The layers of an ONNX graph that can run as INT8: what they are, what they cost, and what they read."""

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from br2net.builder.inspection import inspect_onnx
from br2net.errors import InputError

if TYPE_CHECKING:
    import onnx

Kind = Literal["dense", "depthwise", "stem", "map", "gate"]
KINDS: tuple[Kind, ...] = get_args(Kind)
IMAGE_CHANNELS = 3


@dataclass(frozen=True)
class Layer:
    """A convolution with constant weights.

    Attributes:
        node: name of its node.
        label: what a reader knows it by: the name of its weights, as `backbone.features.8.conv.0.0`.
        kind: `stem` reads the image; `depthwise` has one input channel per group; `map` reads or gives one channel, as the
            logits of a pathway are; `gate` works on one pixel, as the CAM does after its pool; `dense` is any other.
        input, weight, output: names of its tensors.
        macs: multiply-accumulates for one image.
    """

    node: str
    label: str
    kind: Kind
    input: str
    weight: str
    output: str
    macs: int

    @property
    def block(self) -> str:
        """The block of the network that it belongs to: its label up to the first number, as `backbone.features.8`."""
        match = re.match(r".*?\.\d+(?=\.)", self.label)
        return match[0] if match else self.label.rsplit(".", 1)[0]


def find_layers(path: Path) -> tuple[Layer, ...]:
    """The convolutions with constant weights of an ONNX file, in the order of its graph.

    Raises:
        ModelError: if the file is missing or no ONNX.
    """
    import onnx

    summary = {layer.name: layer for layer in inspect_onnx(path).layers}
    graph = onnx.load(path).graph
    weights = {item.name: tuple(item.dims) for item in graph.initializer}
    layers = []
    for node in graph.node:
        if node.op_type != "Conv" or node.input[1] not in weights:
            continue
        facts = summary[node.name or node.output[0]]
        kind = _kind(weights[node.input[1]], group_of(node), facts.output_shape)
        label = node.input[1].removesuffix(".weight")
        layers.append(Layer(node.name, label, kind, node.input[0], node.input[1], node.output[0], facts.macs))
    return tuple(layers)


def group_of(node: "onnx.NodeProto") -> int:
    """Groups of a convolution."""
    return next((int(item.i) for item in node.attribute if item.name == "group"), 1)


def matching(layers: Iterable[Layer], patterns: Collection[str]) -> frozenset[str]:
    """Nodes of the layers that any pattern means: a kind, a block, or a label in which `*` stands for anything.

    Raises:
        InputError: if a pattern means none of them.
    """
    layers = tuple(layers)
    found: set[str] = set()
    for pattern in patterns:
        nodes = {
            layer.node for layer in layers if pattern in (layer.kind, layer.block) or fnmatchcase(layer.label, pattern)
        }
        if not nodes and pattern not in KINDS:
            raise InputError(
                f"No layer is called {pattern}; a kind ({', '.join(KINDS)}), a block as {layers[0].block}, "
                f"or a label as {layers[0].label} is wanted."
            )
        found |= nodes
    return frozenset(found)


def _kind(weight: tuple[int, ...], group: int, output_shape: tuple[int, ...]) -> Kind:
    outputs, inputs_per_group = weight[:2]
    if math.prod(output_shape[2:]) == 1:
        return "gate"
    if group > 1 and inputs_per_group == 1:
        return "depthwise"
    if outputs == 1 or inputs_per_group * group == 1:
        return "map"
    return "stem" if inputs_per_group * group == IMAGE_CHANNELS else "dense"
