"""An engine in host memory: what TensorRT does with an ONNX file, done by ONNX Runtime, under TensorRT's rules."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from br2net.errors import OutOfMemoryError
from br2net.runtime.tensorrt.engine import ExecutionContext
from tests.runtime.cuda.host_memory import FakeDeviceBuffer, HostMemoryCuda, Memory, Operation
from tests.runtime.cuda.ordering import RuleBroken

Maps = NDArray[np.float32]


@functools.cache
def session_of(model: bytes) -> onnxruntime.InferenceSession:
    """ONNX Runtime with a model loaded; every test has the same one."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def by_onnx_runtime(onnx: Path, batch: Maps) -> Maps:
    """Maps of an ONNX file, float32."""
    results: Any = session_of(onnx.read_bytes()).run(["blur"], {"image": batch.astype(np.float32)})
    return np.asarray(results[0], dtype=np.float32)


class FakeEngine:
    """Computes what the ONNX file does."""

    def __init__(self, onnx: Path, *, half: bool = False) -> None:
        self._onnx = onnx
        self.devices: list[HostMemoryCuda] = []
        self.input_type = self.output_type = np.dtype(np.float16 if half else np.float32)
        self.contexts: list[FakeContext] = []
        self.most_contexts = 8
        self.said = ""

    def new_device(self, kind: Callable[..., HostMemoryCuda] = HostMemoryCuda, **options: Any) -> HostMemoryCuda:
        """Another owner of the GPU, whose buffers the engine finds."""
        self.devices.append(kind(**options))
        return self.devices[-1]

    def new_context(self) -> "ExecutionContext":
        if len(self.contexts) == self.most_contexts:
            raise OutOfMemoryError("The GPU ran out of memory while preparing the engine.")
        self.contexts.append(FakeContext(self))
        return self.contexts[-1]

    def log(self) -> str:
        return self.said

    def compute(self, batch: Maps) -> Maps:
        return by_onnx_runtime(self._onnx, batch)


class FakeContext:
    """An execution context: two streams must not be in it at once, and its shape and addresses last as long as a graph."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.addresses: dict[str, int] = {}
        self.shape: tuple[int, ...] = ()
        self.generation = 0
        self.enqueued = 0
        self.refuses = False
        self.scratch: Memory | None = None

    def set_input_shape(self, name: str, shape: tuple[int, ...], /) -> bool:
        self.generation += shape != self.shape
        self.shape = shape
        return name == "image" and len(shape) == 4

    def set_tensor_address(self, name: str, memory: int, /) -> bool:
        self.addresses[name] = memory
        return name in ("image", "blur")

    def execute_async_v3(self, stream_handle: int, /) -> bool:
        if self.refuses or set(self.addresses) != {"image", "blur"} or not self.shape:
            return False
        (cuda,) = (item for item in self.engine.devices if item.has_stream(stream_handle))
        scratch = self.scratch = self.scratch or FakeDeviceBuffer(cuda, 16, 0)
        shape, generation = self.shape, self.generation
        self.enqueued += 1
        source, target = (cuda.memory_at(self.addresses[name]) for name in ("image", "blur"))
        kind = self.engine.input_type
        stream = cuda.stream_of(stream_handle)
        if stream.captured is not None and self.enqueued == 1:
            raise RuleBroken("a capture without a warm-up")
        size = int(np.prod(shape)) * kind.itemsize
        if size > source.size_bytes or size // 3 > target.size_bytes:
            raise RuleBroken("a buffer is smaller than its tensor")
        taken: list[Maps] = []

        def consume() -> None:
            if generation != self.generation:
                raise RuleBroken("a graph is replayed after the shape of its context was changed")
            taken.append(source.bytes[:size].view(kind).reshape(shape).astype(np.float32))

        def compute() -> None:
            maps = self.engine.compute(taken.pop()).astype(kind)
            target.bytes[: maps.nbytes] = np.ascontiguousarray(maps).view(np.uint8).ravel()

        stream.give(Operation("the engine's reading", consume, reads=(source,), writes=(scratch,)))
        stream.give(Operation("the engine", compute, writes=(target, scratch)))
        return True
