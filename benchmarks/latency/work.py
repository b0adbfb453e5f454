"""How much work a network is: multiply-accumulates and bytes that have to be moved, layer by layer, for one image.

Only layers that multiply are counted, each as if everything between two of them were done on the way: it is the least that
any implementation has to do, which is what a bound needs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from br2net.builder.inspection import inspect_onnx

if TYPE_CHECKING:
    from br2net.network.config import BR2NetConfig

ELEMENT_BYTES: Mapping[str, int] = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2, "fp8": 1, "int8": 1}


@dataclass(frozen=True)
class LayerWork:
    """One layer, one image.

    Attributes:
        macs: multiply-accumulates.
        activations: numbers read and written.
        weights: numbers of its weights, read once for a whole batch.
        precision: what the file says it computes in.
    """

    name: str
    operator: str
    macs: int
    activations: int
    weights: int
    precision: str

    def bytes_moved(self, precision: str, batch: int = 1) -> float:
        """Bytes read and written for one image of a batch."""
        return ELEMENT_BYTES.get(precision, 4) * (self.activations + self.weights / batch)


@dataclass(frozen=True)
class Work:
    """All layers of a network that multiply, at one input size."""

    layers: tuple[LayerWork, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return sum(layer.macs for layer in self.layers)

    def precisions(self, in_force: str, rest: str) -> list[str]:
        """What each layer computes in.

        Args:
            in_force: precision that a backend says it computes in.
            rest: what the layers of an INT8 file that are not INT8 are computed in.
        """
        if in_force == "int8":
            return [layer.precision if layer.precision == "int8" else rest for layer in self.layers]
        return [in_force] * len(self.layers)

    def bytes_moved(self, in_force: str, rest: str = "fp32", batch: int = 1) -> float:
        """Bytes read and written for one image."""
        return sum(
            layer.bytes_moved(precision, batch)
            for layer, precision in zip(self.layers, self.precisions(in_force, rest), strict=True)
        )


def work_of_onnx(path: Path, size: tuple[int, int] | None = None) -> Work | None:
    """Count an ONNX file at its own size; None if that is not `size`, `(width, height)`.

    Raises:
        ModelError: if the file is missing or its work cannot be counted.
    """
    summary = inspect_onnx(path)
    if size is not None and summary.counted_size[2:] != size[::-1]:
        return None
    images = summary.counted_size[0] if summary.counted_size else 1
    return Work(
        tuple(
            LayerWork(
                layer.name,
                layer.operator,
                layer.macs,
                layer.read + math.prod(layer.output_shape) // images,
                layer.parameters,
                layer.precision,
            )
            for layer in summary.layers
        )
    )


def work_of_network(config: "BR2NetConfig", width: int, height: int) -> Work:
    """Count the plain form of a network, as PyTorch runs it; no weights are made and nothing is computed."""
    import torch

    from br2net.network import BR2Net

    layers: list[LayerWork] = []

    def count(module: Any, inputs: Any, output: Any) -> None:
        weights = sum(item.numel() for item in module.parameters(recurse=False))
        macs = output.numel() * math.prod(module.weight.shape[1:])
        activations = inputs[0].numel() + output.numel()
        layers.append(LayerWork(names[module], type(module).__name__, macs, activations, weights, "fp32"))

    with torch.device("meta"), torch.inference_mode():
        network = BR2Net(config).eval()
        names = {module: name for name, module in network.named_modules()}
        for module in names:
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                module.register_forward_hook(count)
        network(torch.empty(1, 3, height, width))
    return Work(tuple(layers))
