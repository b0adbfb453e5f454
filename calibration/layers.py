"""The layers of an ONNX graph that can run as INT8: what they are, what they cost, and what they read."""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import onnx
from numpy.typing import NDArray

from br2net.builder.inspection import inspect_onnx
from br2net.errors import InputError
from br2net.files import sha256_of
from br2net.runtime.metadata import ModelMetadata
from br2net.runtime.model_file import load_onnx, read_model_file

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


@dataclass(frozen=True, eq=False)
class FloatModel:
    """A float32 ONNX file, read once.

    Attributes:
        path: path of the file.
        sha256: hash of the file, hex digits.
        proto: its graph; not to be changed.
        metadata: metadata of the model.
        weights: constant tensors by name.
        layers: convolutions with constant weights, in the order of the graph.
        macs: multiply-accumulates of one image, of all layers.
    """

    path: Path
    sha256: str
    proto: onnx.ModelProto
    metadata: ModelMetadata
    weights: Mapping[str, NDArray[np.float32]]
    layers: tuple[Layer, ...]
    macs: int


def read_float_model(path: Path) -> FloatModel:
    """Read a model that can be calibrated.

    Raises:
        ModelError: if it is no model of this package.
        InputError: if it is not float32, its batch is fixed to more than one image, or it has no convolution.
    """
    file, facts = read_model_file(path), inspect_onnx(path)
    if file.metadata.precision != "fp32":
        raise InputError(f"{path} must be fp32, got {file.metadata.precision}; start from the fp32 file.")
    if file.batch not in (None, 1):
        raise InputError(f"{path} must take any batch size or 1, got {file.batch}; export it with --batch 1.")
    proto = load_onnx(path)
    summary = {layer.name: layer for layer in facts.layers}
    weights = {item.name: onnx.numpy_helper.to_array(item) for item in proto.graph.initializer}
    layers = []
    for node in proto.graph.node:
        if node.op_type == "Conv" and node.input[1] in weights:
            found = summary[node.name or node.output[0]]
            kind = _kind(weights[node.input[1]].shape, group_of(node), found.output_shape)
            label = node.input[1].removesuffix(".weight")
            layers.append(Layer(node.name, label, kind, node.input[0], node.input[1], node.output[0], found.macs))
    if not layers:
        raise InputError(f"{path} has no convolution with constant weights, so nothing can be INT8.")
    return FloatModel(path, sha256_of(path), proto, file.metadata, weights, tuple(layers), facts.macs)


def group_of(node: onnx.NodeProto) -> int:
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


def _kind(weight: Sequence[int], group: int, output_shape: tuple[int, ...]) -> Kind:
    outputs, inputs_per_group = weight[:2]
    if math.prod(output_shape[2:]) == 1:
        return "gate"
    if group > 1 and inputs_per_group == 1:
        return "depthwise"
    if outputs == 1 or inputs_per_group * group == 1:
        return "map"
    return "stem" if inputs_per_group * group == IMAGE_CHANNELS else "dense"
