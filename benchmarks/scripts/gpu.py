"""What the runtime adds to an engine on a GPU: engine alone against the pipeline, graph replay against enqueue, kernels.

Run it by hand, on a machine with a GPU: `python -m benchmarks.scripts.gpu MODEL.engine [RESULT.json]`. GPU times are between
CUDA events; the pipeline's is the clock's, from the first frame to the last map. Rounds of what is compared are interleaved.
It ends with one sentence and 2 where there is no GPU or no TensorRT.
"""

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from br2net.benchmarks.latency.environment import read_environment
from br2net.errors import BackendError, Br2netError
from br2net.files import write_text
from br2net.runtime import Backend, InferenceOptions
from br2net.runtime.cuda import Cuda, open_cuda
from br2net.runtime.cuda.interface import Stream
from br2net.runtime.engine_file import read_engine
from br2net.runtime.metadata import Normalisation
from br2net.runtime.native.cuda_kernels import CudaKernels, DeviceFrame, DevicePictures
from br2net.runtime.tensorrt import TensorRTBackend
from br2net.runtime.tensorrt.engine import INPUT, OUTPUT, Engine
from br2net.runtime.tensorrt.runner import Submitted
from br2net.types import Frame

WIDTH, HEIGHT = 1280, 720  # of the frame that the kernels work on
ROUNDS, WARM_UP, REPEATS = 50, 5, 20  # rounds that count, rounds before, and runs between two events
FRAMES = 500  # of the pipeline


@dataclass(frozen=True)
class EngineTimes:
    """An engine at one batch size, everything already on the GPU.

    Attributes:
        batch: images of one run.
        enqueue_ms: of one run, enqueued by TensorRT each time.
        graph_ms: of one run, as the replay of a graph; 0 without cuda-python.
    """

    batch: int
    enqueue_ms: float
    graph_ms: float

    def frames_per_second(self) -> float:
        """Of the faster way."""
        return 1000.0 * self.batch / (min(self.enqueue_ms, self.graph_ms) or self.enqueue_ms)


def milliseconds(cuda: Cuda, stream: Stream, work: Callable[[], None], repeats: int = REPEATS) -> float:
    """Time of one run of `work`, which gives something to `stream`, by events around `repeats` of them."""
    with cuda.event(timed=True) as began, cuda.event(timed=True) as ended:
        began.record(stream)
        for _ in range(repeats):
            work()
        ended.record(stream)
        ended.synchronize()
        return ended.milliseconds_since(began) / repeats


def time_engine(cuda: Cuda, engine: Engine, batch: int, width: int, height: int) -> EngineTimes:
    """Enqueue and graph replay in interleaved rounds, with no copy in between."""
    pixels = batch * width * height
    with (
        cuda.active(),
        cuda.device_buffer(3 * pixels * engine.tensors.input_type.itemsize) as image,
        cuda.device_buffer(pixels * engine.tensors.output_type.itemsize) as blur,
        cuda.stream() as stream,
    ):
        medians = _time_ways(cuda, engine, (batch, 3, height, width), (image.address, blur.address), stream)
    return EngineTimes(batch, round(medians["enqueue"], 4), round(medians.get("graph", 0.0), 4))


def _time_ways(
    cuda: Cuda, engine: Engine, shape: tuple[int, ...], addresses: tuple[int, int], stream: Stream
) -> dict[str, float]:
    """Median milliseconds of each way; the execution context ends with this function, inside the GPU's context."""
    context = engine.new_context()
    context.set_input_shape(INPUT, shape)
    for name, address in zip((INPUT, OUTPUT), addresses, strict=True):
        context.set_tensor_address(name, address)

    def enqueue() -> None:
        if not context.execute_async_v3(stream.handle):
            raise BackendError(f"TensorRT does not run the engine: {engine.log()}.")

    enqueue()
    stream.synchronize()
    ways: dict[str, Callable[[], None]] = {"enqueue": enqueue}
    with ExitStack() as stack:
        if cuda.can_capture:
            ways["graph"] = partial(stack.enter_context(cuda.capture(stream, enqueue)).launch, stream)
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(WARM_UP + ROUNDS):
            for name, way in ways.items():
                taken = milliseconds(cuda, stream, way)
                if number >= WARM_UP:
                    times[name].append(taken)
        stream.synchronize()
    return {name: float(np.median(items)) for name, items in times.items()}


def time_pipeline(backend: TensorRTBackend, batch: int, ahead: int = 3, frames: int = FRAMES) -> float:
    """Frames a second with every batch copied in and its maps copied out, `ahead` batches in flight."""
    image = np.random.default_rng(0).normal(size=(batch, 3, backend.height, backend.width)).astype(np.float32)
    for _ in range(WARM_UP):
        backend.infer(image)
    began = time.perf_counter()
    flying: deque[Submitted] = deque()
    for _ in range(max(1, frames // batch)):
        if len(flying) == ahead:
            flying.popleft().result()
        flying.append(backend.submit(image))
    while flying:
        flying.popleft().result()
    return max(1, frames // batch) * batch / (time.perf_counter() - began)


def time_frames(backend: TensorRTBackend) -> dict[str, float]:
    """Milliseconds from one frame of 1280x720 to its map, by the clock: prepared by the kernels, and by the CPU."""
    frame = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    ways: dict[str, Callable[[Sequence[Frame]], object]] = {
        "by_kernels": backend.detect,
        "by_cpu": partial(Backend.detect, backend),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(WARM_UP + ROUNDS):
        for name, way in ways.items():
            began = time.perf_counter()
            way([frame])
            if number >= WARM_UP:
                times[name].append((time.perf_counter() - began) * 1000.0)
    return {name: round(float(np.median(items)), 3) for name, items in times.items()}


def time_kernels(cuda: Cuda, width: int, height: int, normalisation: Normalisation) -> dict[str, float]:
    """Milliseconds of preprocess and postprocess of one frame of 1280x720, everything on the GPU."""
    std, mean = np.asarray(normalisation.std), np.asarray(normalisation.mean)
    scale, shift = tuple(1.0 / (255.0 * std)), tuple(-mean / std)
    with (
        cuda.active(),
        CudaKernels(cuda) as kernels,
        cuda.device_buffer(WIDTH * HEIGHT * 3) as pixels,
        cuda.device_buffer(width * height * 3 * 4) as planes,
        cuda.device_buffer(width * height * 4) as blur,
        cuda.device_buffer(WIDTH * HEIGHT * 4) as blur_map,
        cuda.device_buffer(WIDTH * HEIGHT * 3) as overlay,
        cuda.stream() as stream,
    ):
        frame = DeviceFrame(pixels.address, WIDTH * 3, WIDTH, HEIGHT)
        pictures = DevicePictures(WIDTH, HEIGHT, map=blur_map.address, overlay=overlay.address)
        before = partial(kernels.preprocess, frame, planes.address, width, height, scale, shift, stream)
        after = partial(kernels.postprocess, blur.address, width, height, pictures, stream, frame=frame, opacity=0.6)
        times: dict[str, list[float]] = {"preprocess": [], "postprocess": []}
        for number in range(WARM_UP + ROUNDS):
            for name, work in (("preprocess", before), ("postprocess", after)):
                taken = milliseconds(cuda, stream, work)
                if number >= WARM_UP:
                    times[name].append(taken)
        stream.synchronize()
    return {name: round(float(np.median(items)), 4) for name, items in times.items()}


def measure(path: Path) -> dict[str, object]:
    """Everything about one engine, as it goes into the result file."""
    with open_cuda() as cuda:
        from br2net.runtime.tensorrt.api import library
        from br2net.runtime.tensorrt.plan import PlanEngine

        plan, record = read_engine(path, library(), cuda.gpu)
        shape = record.profile.typical
        with cuda.active():
            engine = PlanEngine(path, plan)
        times = time_engine(cuda, engine, shape.batch, shape.width, shape.height)
        kernels: object
        try:
            kernels = time_kernels(cuda, shape.width, shape.height, record.model.normalisation)
        except Br2netError as error:
            kernels = str(error)
        del engine
    backend = TensorRTBackend(path, InferenceOptions())
    with backend:
        pipelined = time_pipeline(backend, shape.batch)
        frames = time_frames(backend)
    alone = times.frames_per_second()
    return {
        "environment": asdict(read_environment()),
        "tensorrt": str(library()),
        "engine": {"model": record.model.name, "precision": record.model.precision, "shape": asdict(shape)},
        "engine_alone": asdict(times) | {"frames_per_second": round(alone, 1)},
        "graph_over_enqueue": round(times.enqueue_ms / times.graph_ms, 3) if times.graph_ms else None,
        "pipeline_frames_per_second": round(pipelined, 1),
        "pipeline_over_engine_alone": round(pipelined / alone, 3),
        "kernels_ms": kernels,
        "frame_to_map_ms": frames,
    }


def main() -> None:
    """Measure an engine, print the figures, and write JSON where a path was given."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m benchmarks.scripts.gpu MODEL.engine [RESULT.json]")
    try:
        result = measure(Path(sys.argv[1]))
    except Br2netError as error:
        print(f"br2net: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    for name, value in result.items():
        if name != "environment":
            print(f"{name}: {value}")
    if len(sys.argv) > 2:
        write_text(Path(sys.argv[2]), json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
