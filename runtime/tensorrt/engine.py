"""An engine as the runtime sees it: its one input, its one output, and the execution contexts that run it."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from br2net.errors import ModelError

INPUT, OUTPUT = "image", "blur"


class ExecutionContext(Protocol):
    """What is used of TensorRT's `IExecutionContext`, in 10.3 to 11.x and in TensorRT for RTX alike."""

    def set_input_shape(self, name: str, shape: tuple[int, ...], /) -> bool:
        """Choose the shape of an input, within the profile."""

    def set_tensor_address(self, name: str, memory: int, /) -> bool:
        """Where an input or output is, on the GPU."""

    def set_input_consumed_event(self, event: int, /) -> bool:
        """Which event is recorded once inputs may be overwritten; 0 for none."""

    def execute_async_v3(self, stream_handle: int, /) -> bool:
        """Give the work to a stream."""


@dataclass(frozen=True)
class Tensors:
    """Types of an engine's input and output, as NumPy names them; it has exactly one of each."""

    input_type: np.dtype[Any]
    output_type: np.dtype[Any]


class Engine(Protocol):
    """A deserialised engine."""

    @property
    def tensors(self) -> Tensors:
        """Types of its input and output."""

    def new_context(self) -> ExecutionContext:
        """Another execution context, with scratch memory of its own.

        Raises:
            BackendError: if there is not enough memory for it.
        """

    def log(self) -> str:
        """What TensorRT last logged as errors, as one line; it is forgotten then."""


def check_tensors(path: object, inputs: dict[str, np.dtype[Any]], outputs: dict[str, np.dtype[Any]]) -> Tensors:
    """The types of an engine's input and output.

    Raises:
        ModelError: if it has others than `image` and `blur`.
    """
    if set(inputs) != {INPUT} or set(outputs) != {OUTPUT}:
        raise ModelError(
            f"{path} is no br2net engine: it has inputs {', '.join(inputs) or 'none'} and outputs "
            f"{', '.join(outputs) or 'none'}, not image and blur; build it with `br2net build`."
        )
    return Tensors(inputs[INPUT], outputs[OUTPUT])
