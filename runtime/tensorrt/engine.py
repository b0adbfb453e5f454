"""Engine interface of the runtime: one input, one output, and execution contexts that run it."""

from typing import Any, Protocol

import numpy as np

INPUT, OUTPUT = "image", "blur"


class ExecutionContext(Protocol):
    """The part of TensorRT's `IExecutionContext` in use, the same in 10.3 to 11.x and in TensorRT for RTX."""

    def set_input_shape(self, name: str, shape: tuple[int, ...], /) -> bool:
        """Choose the shape of an input, within the profile."""

    def set_tensor_address(self, name: str, memory: int, /) -> bool:
        """Set the device address of an input or output."""

    def execute_async_v3(self, stream_handle: int, /) -> bool:
        """Give the work to a stream."""


class Engine(Protocol):
    """A deserialised engine.

    Attributes:
        input_type, output_type: types of its input `image` and its output `blur`.
    """

    input_type: np.dtype[Any]
    output_type: np.dtype[Any]

    def new_context(self) -> ExecutionContext:
        """Make another execution context with its own scratch memory.

        Raises:
            BackendError: if there is not enough memory for it.
        """

    def log(self) -> str:
        """Return what TensorRT last logged as errors, as one line, and forget it."""
