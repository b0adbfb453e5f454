"""An engine without TensorRT for a GPU: its map is the first channel of its input, copied on the GPU."""

from typing import Any

import numpy as np

from br2net.runtime.tensorrt.engine import ExecutionContext


class ChannelEngine:
    """Needs pycuda and cuda-python, and nothing of NVIDIA's besides the driver."""

    input_type = output_type = np.dtype(np.float32)

    def new_context(self) -> "ExecutionContext":
        return ChannelContext()

    def log(self) -> str:
        return ""


class ChannelContext:
    """Enqueues copies."""

    def __init__(self) -> None:
        from cuda.bindings import driver

        self._driver: Any = driver
        self.addresses: dict[str, int] = {}
        self.shape: tuple[int, ...] = ()

    def set_input_shape(self, name: str, shape: tuple[int, ...], /) -> bool:
        self.shape = shape
        return True

    def set_tensor_address(self, name: str, memory: int, /) -> bool:
        self.addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int, /) -> bool:
        count, channels, height, width = self.shape
        plane = height * width * 4
        codes = []
        for number in range(count):
            source = self.addresses["image"] + number * channels * plane
            target = self.addresses["blur"] + number * plane
            codes += self._driver.cuMemcpyDtoDAsync(target, source, plane, stream_handle)
        return all(int(code) == 0 for code in codes)
