"""One file that takes camera frames: resizing, normalisation and the map's resizing inside the ONNX graph.

What `runtime.preprocessing` does is written here as ONNX, from the frame's size as the graph finds it. A side that
shrinks from n to m pixels is multiplied by a matrix: row i holds, for each pixel j, the overlap of [j m, (j + 1) m] with
[i n, (i + 1) n], divided by n. A side that grows takes the two pixels around place ((2 i + 1) n - m) / (2 m), with
weights of 11 bits and in whole numbers, as OpenCV and the compiled library do: one grey level would move a map's edges.

Positions are whole numbers throughout, so no runtime's half precision can spoil one.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from br2net.builder.comparison import Tolerance, difference, packaged_photograph
from br2net.errors import ModelError
from br2net.files import check_suffix, written_whole
from br2net.runtime.backend import InferenceOptions, detect
from br2net.runtime.backends import open_backend
from br2net.runtime.metadata import ModelMetadata, Normalisation
from br2net.runtime.model_file import read_model_file
from br2net.runtime.onnxruntime.session import open_session

INPUT, OUTPUT = "frames", "map"
LOWEST_OPSET = 18
FLOAT, INT32, INT64 = 1, 6, 7  # TensorProto.DataType
ONE_LEVEL = Tolerance(largest=1.0 / 255.0, mean=0.25 / 255.0)


def add_preprocessing(source: Path, output: Path) -> ModelMetadata:
    """Write a model file anew with what surrounds it: frames in, maps out.

    The new file takes `frames` uint8 `(N, H, W, 3)` BGR of any height and width and gives `map` float32 `(N, H, W)`,
    1 = blurred. N is as the source has it. ONNX Runtime runs it on a photograph before it appears.

    Raises:
        ModelError: if the source is no model file of this package.
        InputError: if the output's name does not end in .onnx, or the file cannot be written.
        GateError: if its map differs from the detector's by more than one grey level.
        MissingDependencyError: if ONNX Runtime is not installed.
    """
    import onnx

    check_suffix(output, ".onnx")
    file = read_model_file(source)
    width, height = file.choose_size(None)
    model = onnx.load(source)
    opset = max(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    if opset < LOWEST_OPSET:
        raise ModelError(f"{source} is of ONNX opset {opset}; {LOWEST_OPSET} is wanted: export it again.")
    _surround(model, width, height, file.metadata.normalisation, file.batch)
    with written_whole(output) as temporary:
        onnx.save(model, temporary)
        _compare(source, temporary, output.name, file.batch or 1)
    return file.metadata


@dataclass
class _Nodes:
    """Nodes of one part of the graph, their names apart from those of the model."""

    prefix: str
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """Append a node; gives the name of its output."""
        from onnx import helper

        name = f"{self.prefix}/{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out or name], name=name, **attributes))
        return out or name

    def constant(self, value: Any, dtype: Any) -> str:
        """A constant tensor; gives its name."""
        from onnx import numpy_helper

        name = f"{self.prefix}/constant_{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(np.asarray(value, dtype), name)
        return name

    def integer(self, value: int) -> str:
        """A constant int32 scalar: every runtime has arithmetic for those."""
        return self.constant(value, np.int32)

    def dimension(self, tensor: str, axis: int) -> str:
        """One dimension of a tensor, as an int32 scalar."""
        shape = self.add("Shape", tensor)
        return self.add("Cast", self.add("Gather", shape, self.constant(axis, np.int64)), to=INT32)

    def vector(self, scalar: str) -> str:
        """An int32 scalar as a shape of one int64."""
        return self.add("Cast", self.add("Unsqueeze", scalar, self.constant([0], np.int64)), to=INT64)


def _surround(model: Any, width: int, height: int, normalisation: Normalisation, batch: int | None) -> None:
    from onnx import TensorProto, helper

    graph = model.graph
    image, blur = graph.input[0].name, graph.output[0].name
    before, after = _Nodes("before"), _Nodes("after")
    _preprocess(before, width, height, normalisation, image)
    _postprocess(after, blur)
    inner = list(graph.node)
    del graph.node[:]
    graph.node.extend([*before.nodes, *inner, *after.nodes])
    graph.initializer.extend([*before.constants.values(), *after.constants.values()])
    count: int | str = batch or "batch"
    graph.input[0].CopyFrom(
        helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [count, "frame_height", "frame_width", 3])
    )
    graph.output[0].CopyFrom(
        helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [count, "frame_height", "frame_width"])
    )


def _preprocess(nodes: _Nodes, width: int, height: int, normalisation: Normalisation, out: str) -> None:
    """(N, H, W, 3) uint8 BGR to (N, 3, height, width) normalised RGB."""
    across, down = _Side(nodes, 2, width), _Side(nodes, 1, height)
    pixels = nodes.add("Cast", INPUT, to=FLOAT)
    lines = nodes.add("Reshape", pixels, nodes.constant([0, 0, -1], np.int64))  # (N, H, 3 W), as they lie in memory
    shrunk = nodes.add("MatMul", down.matrix(), lines)
    parts = (nodes.constant([0], np.int64), nodes.vector(down.shrunk), nodes.constant([-1, 3], np.int64))
    shrunk = nodes.add("Reshape", shrunk, nodes.add("Concat", *parts, axis=0))
    planes = nodes.add("Transpose", shrunk, perm=[0, 3, 1, 2])
    shrunk = nodes.add("MatMul", planes, nodes.add("Transpose", across.matrix(), perm=[1, 0]))
    halved = nodes.add("And", across.is_half(), down.is_half())  # of four pixels, halves go up; else to the even level
    bias = nodes.add("Mul", nodes.add("Cast", halved, to=FLOAT), nodes.constant(0.125, np.float32))
    levels = nodes.add("Cast", nodes.add("Round", nodes.add("Add", shrunk, bias)), to=INT32)
    levels = _grow_down(nodes, down, _grow_across(nodes, across, levels))
    rgb = nodes.add("Gather", nodes.add("Cast", levels, to=FLOAT), nodes.constant([2, 1, 0], np.int64), axis=1)
    scale, shift = (np.reshape(item, (1, 3, 1, 1)) for item in (normalisation.scale, normalisation.shift))
    scaled = nodes.add("Mul", rgb, nodes.constant(scale, np.float32))
    nodes.add("Add", scaled, nodes.constant(shift, np.float32), out=out)


def _grow_across(nodes: _Nodes, side: "_Side", levels: str) -> str:
    """Levels times 2048; beyond the border its pixel counts alone."""
    near, far, near_weight, far_weight = side.neighbours()
    inside = nodes.add("Less", near, far)
    near_weight = nodes.add("Where", inside, near_weight, nodes.integer(2048))
    far_weight = nodes.add("Where", inside, far_weight, nodes.integer(0))
    left = nodes.add("Mul", nodes.add("Gather", levels, near, axis=3), near_weight)
    return nodes.add("Add", left, nodes.add("Mul", nodes.add("Gather", levels, far, axis=3), far_weight))


def _grow_down(nodes: _Nodes, side: "_Side", rows: str) -> str:
    """From rows of levels times 2048 to levels: (near >> 4) * weight >> 16, the same of far, and 2, >> 2."""
    near, far, near_weight, far_weight = side.neighbours()
    rows = nodes.add("Div", rows, nodes.integer(16))
    column = nodes.constant([1], np.int64)
    halves = []
    for place, weight in ((near, near_weight), (far, far_weight)):
        part = nodes.add("Mul", nodes.add("Gather", rows, place, axis=2), nodes.add("Unsqueeze", weight, column))
        halves.append(nodes.add("Div", part, nodes.integer(65536)))
    total = nodes.add("Add", nodes.add("Add", *halves), nodes.integer(2))
    return nodes.add("Div", total, nodes.integer(4))


class _Side:
    """One side of the frame on its way to `wanted` pixels: by area to `shrunk` of them, then growing."""

    def __init__(self, nodes: _Nodes, axis: int, wanted: int) -> None:
        self._nodes = nodes
        self._wanted = wanted
        self._own = nodes.dimension(INPUT, axis)
        self.shrunk = nodes.add("Min", self._own, nodes.integer(wanted))

    def matrix(self) -> str:
        """Shrinking by area: float32 `(shrunk, own)`."""
        add, own, shrunk = self._nodes.add, self._own, self.shrunk
        i = add("Unsqueeze", self._range(shrunk), self._nodes.constant([1], np.int64))
        j = add("Unsqueeze", self._range(own), self._nodes.constant([0], np.int64))
        begin_out, begin_in = add("Mul", i, own), add("Mul", j, shrunk)
        end = add("Min", add("Add", begin_out, own), add("Add", begin_in, shrunk))
        overlap = add("Max", add("Sub", end, add("Max", begin_out, begin_in)), self._nodes.integer(0))
        return add("Div", add("Cast", overlap, to=FLOAT), add("Cast", own, to=FLOAT))

    def is_half(self) -> str:
        """Whether two pixels become one."""
        return self._nodes.add("Equal", self._own, self._nodes.integer(2 * self._wanted))

    def neighbours(self) -> tuple[str, str, str, str]:
        """Growing: for each of `wanted` pixels the two around it among `shrunk`, and their weights, which add up to 2048."""
        add, integer, whole = self._nodes.add, self._nodes.integer, 2 * self._wanted
        odd = self._nodes.constant(2 * np.arange(self._wanted) + 1, np.int32)
        place = add("Sub", add("Mul", odd, self.shrunk), integer(self._wanted))
        above = add("Add", place, integer(whole))  # so that whole division rounds down
        before = add("Sub", add("Div", above, integer(whole)), integer(1))
        rest = add("Sub", place, add("Mul", before, integer(whole)))
        fraction = add("Div", add("Cast", rest, to=FLOAT), self._nodes.constant(float(whole), np.float32))
        last = add("Sub", self.shrunk, integer(1))
        near, far = (
            add("Min", add("Max", item, integer(0)), last) for item in (before, add("Add", before, integer(1)))
        )
        far_weight = self._weight(fraction)
        return near, far, self._weight(add("Sub", self._nodes.constant(1.0, np.float32), fraction)), far_weight

    def _weight(self, fraction: str) -> str:
        scaled = self._nodes.add("Mul", fraction, self._nodes.constant(2048.0, np.float32))
        return self._nodes.add("Cast", self._nodes.add("Round", scaled), to=INT32)

    def _range(self, end: str) -> str:
        return self._nodes.add("Range", self._nodes.integer(0), end, self._nodes.integer(1))


def _postprocess(nodes: _Nodes, blur: str) -> None:
    """(N, 1, height, width) to (N, H, W), bilinearly, within 0..1."""
    zero, one, three = (nodes.constant([value], np.int64) for value in (0, 1, 3))
    frame = nodes.add("Slice", nodes.add("Shape", INPUT), one, three)
    head = nodes.add("Slice", nodes.add("Shape", blur), zero, nodes.constant([2], np.int64))
    sizes = nodes.add("Concat", head, frame, axis=0)
    resized = nodes.add("Resize", blur, "", "", sizes, mode="linear", coordinate_transformation_mode="half_pixel")
    within = nodes.add("Clip", resized, nodes.constant(0.0, np.float32), nodes.constant(1.0, np.float32))
    nodes.add("Squeeze", within, one, out=OUTPUT)


def _compare(source: Path, candidate: Path, name: str, batch: int) -> None:
    frame = packaged_photograph()
    with open_backend(source, "onnxruntime", InferenceOptions(device="cpu")) as baseline:
        maps = [output.map for output in detect(baseline, [frame]) if output.map is not None]
    found = open_session(candidate).run([OUTPUT], {INPUT: np.stack([frame] * batch)})[0]
    ONE_LEVEL.check(difference([found[0]], maps), name, "the detector's")
