"""What an ONNX file is: metadata, inputs and outputs, multiply-accumulates and parameters, layer by layer."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from br2net.errors import ModelError
from br2net.runtime.metadata import ModelMetadata
from br2net.runtime.model_file import load_onnx, metadata_of
from br2net.runtime.openvino.core import shared_core

Shape = tuple[int, ...]
MULTIPLYING = ("Conv", "ConvTranspose", "MatMul", "Gemm")
NAMED = 8  # layers that a table names before it says how many more there are
_FLOATING = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE, TensorProto.INT8)
_PRECISIONS: dict[int, str] = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}
_PASSED = ("QuantizeLinear", "DequantizeLinear", "Cast", "Transpose", "Reshape")  # between a weight and its layer


@dataclass(frozen=True)
class Layer:
    """A node that multiplies.

    Attributes:
        macs: multiply-accumulates for one image.
        read: numbers read for one image, weights left out.
        precision: what it computes in, as `int8`.
    """

    name: str
    operator: str
    output_shape: Shape
    macs: int
    read: int
    parameters: int
    precision: str


@dataclass(frozen=True)
class OnnxSummary:
    """Facts of an ONNX file.

    Attributes:
        metadata: None for a file that this package did not make.
        inputs, outputs: name to text of shape and element type, symbols kept.
        counted_size: input shape that multiply-accumulates are counted at: the file's own, one image where it is open.
        macs: multiply-accumulates of one image, in convolutions and matrix products.
        parameters: floating-point numbers stored as weights; constants of index type do not count.
        operators: how often each operator occurs.
        layers: the nodes that multiply, in graph order.
    """

    path: Path
    size_bytes: int
    opset: int
    metadata: ModelMetadata | None
    inputs: dict[str, str]
    outputs: dict[str, str]
    counted_size: Shape
    macs: int
    parameters: int
    operators: dict[str, int]
    layers: tuple[Layer, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Return name and text of each fact, for a table."""
        rows = [] if self.metadata is None else metadata_rows(self.metadata)
        rows += [(f"input {name}", text) for name, text in self.inputs.items()]
        rows += [(f"output {name}", text) for name, text in self.outputs.items()]
        counted = "x".join(str(item) for item in self.counted_size)
        rows += [
            ("multiply-accumulates", f"{self.macs / 1e9:.3f} G at {counted}"),
            ("parameters", f"{self.parameters / 1e6:.3f} M"),
            ("layers", self._layers_by_precision()),
            ("operators", ", ".join(f"{count} {name}" for name, count in self.operators.items())),
            ("file", f"{self.size_bytes / 1e6:.1f} MB, opset {self.opset}"),
        ]
        return rows

    def layers_by_precision(self) -> dict[str, int]:
        """Count the convolutions and matrix products of each precision."""
        return dict(Counter(layer.precision for layer in self.layers).most_common())

    def _layers_by_precision(self) -> str:
        """Return the counts as a text that names the layers which stayed wider than the file's own precision."""
        counts = self.layers_by_precision()
        text = ", ".join(f"{count} {precision}" for precision, count in counts.items())
        own = self.metadata.precision if self.metadata else "fp32"
        wider = [layer.name for layer in self.layers if layer.precision != own]
        if own == "fp32" or not wider:
            return text
        named = ", ".join(wider[:NAMED]) + (f" and {len(wider) - NAMED} more (--layers)" if len(wider) > NAMED else "")
        return f"{text}; not {own}: {named}"


def metadata_rows(facts: ModelMetadata) -> list[tuple[str, str]]:
    """Return name and text of a model's metadata, for a table."""
    return [
        ("model", f"{facts.name}, {facts.form}, {facts.precision}"),
        ("backbone", facts.backbone),
        ("trained on", facts.training_data),
        ("licence", facts.licence),
        ("weights", facts.weights_sha256[:16]),
        ("figures", ", ".join(f"{name} {value:.4g}" for name, value in facts.figures.items()) or "none"),
    ]


def inspect_onnx(path: Path) -> OnnxSummary:
    """Read an ONNX file, of this package or of another, and count its work.

    Symbolic sizes are counted at the default size of the metadata (or 320), one image.

    Raises:
        ModelError: if the file is missing or no ONNX.
    """
    model = load_onnx(path)
    metadata = metadata_of(model, path)
    inputs = {item.name: _text(item) for item in _real_inputs(model.graph)}
    outputs = {item.name: _text(item) for item in model.graph.output}
    counted = _fix_sizes(model, metadata)
    shapes = _shapes(model.graph)
    if any(node.output[0] not in shapes for node in model.graph.node if node.op_type in MULTIPLYING):
        shapes |= _shapes_by_openvino(path, counted)
    layers = tuple(_layers(model.graph, shapes, images=counted[0] if counted else 1))
    return OnnxSummary(
        path=path,
        size_bytes=path.stat().st_size,
        opset=max((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), default=0),
        metadata=metadata,
        inputs=inputs,
        outputs=outputs,
        counted_size=counted,
        macs=sum(layer.macs for layer in layers),
        parameters=sum(math.prod(item.dims) for item in model.graph.initializer if item.data_type in _FLOATING),
        operators=dict(Counter(node.op_type for node in model.graph.node).most_common()),
        layers=layers,
    )


def _real_inputs(graph: GraphProto) -> list[ValueInfoProto]:
    weights = {item.name for item in graph.initializer}
    return [item for item in graph.input if item.name not in weights]


def _text(value: ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    sizes = [item.dim_param or str(item.dim_value or "?") for item in tensor.shape.dim]
    return f"{' x '.join(sizes)} {TensorProto.DataType.Name(tensor.elem_type).lower()}"


def _fix_sizes(model: ModelProto, metadata: ModelMetadata | None) -> Shape:
    """Fix open sides of the inputs, for one image, and infer all other shapes; return the first input's."""
    height, width = (metadata.height, metadata.width) if metadata else (320, 320)
    first = _real_inputs(model.graph)
    for value in first:
        sides = value.type.tensor_type.shape.dim
        takes_frames = len(sides) == 4 and sides[3].dim_value == 3  # (N, H, W, 3), as --with-preprocessing
        default = (1, height, width, 3) if takes_frames else (1, 3, height, width)
        for axis, item in enumerate(sides):
            if not item.HasField("dim_value"):
                item.dim_value = default[axis] if axis < 4 else 1
    if any(item.dim_param for value in model.graph.value_info for item in value.type.tensor_type.shape.dim):
        del model.graph.value_info[:]
    if not model.graph.value_info:
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
    model.CopyFrom(onnx.shape_inference.infer_shapes(model, data_prop=True))
    return tuple(item.dim_value for item in first[0].type.tensor_type.shape.dim) if first else ()


def _shapes(graph: GraphProto) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {item.name: tuple(item.dims) for item in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shape = value.type.tensor_type.shape
        if value.type.tensor_type.HasField("shape") and all(item.HasField("dim_value") for item in shape.dim):
            shapes[value.name] = tuple(item.dim_value for item in shape.dim)
    return shapes


def _shapes_by_openvino(path: Path, counted: Shape) -> dict[str, Shape]:
    """Infer shapes of a graph that computes sizes inside, which ONNX's own inference does not follow."""
    import openvino

    try:
        model = shared_core(openvino.Core).read_model(path)
        model.reshape(list(counted))
    except RuntimeError as error:
        raise ModelError(f"The shapes inside {path} cannot be inferred, so its work cannot be counted.") from error
    shapes: dict[str, Shape] = {}
    for operation in model.get_ordered_ops():
        for output in operation.outputs():
            if output.get_partial_shape().is_static:
                shapes |= {name: tuple(output.get_shape()) for name in output.get_names()}
    return shapes


def _layers(graph: GraphProto, shapes: Mapping[str, Shape], images: int) -> Iterator[Layer]:
    weights = {item.name: item for item in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    types = {item.name: item.type.tensor_type.elem_type for item in (*graph.value_info, *graph.output)}
    for node in graph.node:
        if node.op_type not in MULTIPLYING:
            continue
        output = shapes.get(node.output[0], ())
        sources = [_source(name, makers) for name in node.input]
        parameters = sum(math.prod(weights[name].dims) for name in sources if name in weights)
        quantised = all(name in makers and makers[name].op_type == "DequantizeLinear" for name in node.input[:2])
        precision = "int8" if quantised else _PRECISIONS.get(types.get(node.output[0], 0), "unknown")
        macs = _macs(node, output, shapes) // images
        data = [name for name, source in zip(node.input, sources, strict=True) if source not in weights]
        read = sum(math.prod(shapes.get(name, ())) for name in data) // images
        yield Layer(node.name or node.output[0], node.op_type, output, macs, read, parameters, precision)


def _source(name: str, makers: Mapping[str, NodeProto]) -> str:
    """Return the value that `name` was made of by steps that keep a weight a weight."""
    while name in makers and makers[name].op_type in _PASSED:
        name = makers[name].input[0]
    return name


def _macs(node: NodeProto, output: Shape, shapes: Mapping[str, Shape]) -> int:
    first, second = (shapes.get(name, ()) for name in node.input[:2])
    if node.op_type == "Conv":
        return math.prod(output) * math.prod(second[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(first) * math.prod(second[1:])
    if node.op_type == "Gemm":
        transposed = any(item.name == "transA" and item.i for item in node.attribute)
        return math.prod(output) * first[0 if transposed else 1]
    return math.prod(output) * (first[-1] if first else 0)
