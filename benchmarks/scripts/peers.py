"""The same weights by the bare call of each engine, beside this package's request, which must not be 5 % slower.

By hand: `python -m benchmarks.scripts.peers [--onnx FILE --checkpoint FILE] [--engine FILE] [-o RESULT.json]`. Frames of the
network's input size are prepared before the clock starts on both sides. Exit 3 if this package is more than 5 % slower.
"""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.scripts.common import environment, interleaved, median, save
from br2net.benchmarks.latency.statistics import Ratio, speed_up
from br2net.builder.comparison import packaged_photograph
from br2net.errors import Br2netError
from br2net.runtime.backend import Backend, InferenceOptions
from br2net.runtime.backends import open_backend
from br2net.runtime.metadata import Normalisation
from br2net.types import Batch, Frame
from br2net.zoo import find_model

LARGEST_SLOWDOWN = 1.05
OPENVINO_NAMES = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
Call = Callable[[Batch], Batch]  # network input `(N, 3, h, w)` to maps `(N, 1, h, w)`


@dataclass(frozen=True)
class Duel:
    """Medians in milliseconds; `ratio` is ours over bare, round by round; `difference` the largest of the two maps."""

    name: str
    bare_ms: float
    ours_ms: float
    ratio: Ratio
    difference: float

    @property
    def verdict(self) -> str:
        """`TOO SLOW` if ours is slower by more than 5 % in most rounds, and slower in nine of ten: not by chance."""
        if self.ratio.median <= LARGEST_SLOWDOWN:
            return "as fast"
        return "TOO SLOW" if self.ratio.low > 1.0 else "too noisy to tell"


def onnxruntime_call(path: Path) -> Call:
    """Call ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda batch: np.asarray(session.run(None, {"image": batch})[0])


def openvino_call(path: Path, shape: tuple[int, ...], precision: str) -> Call:
    """Call OpenVINO on the CPU, compiled for one shape and for latency; `precision` by its name there, such as `f32`."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    model.reshape(list(shape))
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    compiled = core.compile_model(model, "CPU", settings)
    return lambda batch: np.array(compiled([batch])[0])


def torch_call(checkpoint: Path) -> Call:
    """Call PyTorch eager."""
    import torch

    from br2net.network import load_checkpoint

    network: Any = load_checkpoint(checkpoint).model

    def call(batch: Batch) -> Batch:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(batch)).numpy())

    return call


def polygraphy_call(engine: Path) -> Call:
    """Call TensorRT by Polygraphy's runner, with copies. Not executed on a GPU by us."""
    from polygraphy.backend.common import BytesFromPath
    from polygraphy.backend.trt import EngineFromBytes, TrtRunner

    runner = TrtRunner(EngineFromBytes(BytesFromPath(str(engine))))
    runner.activate()
    return lambda batch: np.array(runner.infer({"image": batch}, copy_outputs_to_host=True)["blur"])


def bare_call(backend: Backend, path: Path) -> Call:
    """Return the bare call of the same engine, in the same precision."""
    if backend.name == "openvino":
        return openvino_call(path, (1, 3, backend.height, backend.width), OPENVINO_NAMES[backend.precision])
    return {"onnxruntime": onnxruntime_call, "torch": torch_call}.get(backend.name, polygraphy_call)(path)


def fight(name: str, bare: Call, backend: Backend, frame: Frame, rounds: int) -> Duel:
    """Time the bare call and our request, interleaved; `frame` has the network's input size."""
    batch = network_input(frame, backend.metadata.normalisation)
    maps: dict[str, Batch] = {}

    def run_bare() -> float:
        began = time.perf_counter()
        maps["bare"] = bare(batch)
        return (time.perf_counter() - began) * 1000.0

    def run_ours() -> float:
        with backend.request() as request:
            request.prepare([frame])
            began = time.perf_counter()
            request.run()
            (outputs,) = request.finish()
            took = (time.perf_counter() - began) * 1000.0
        assert outputs.map is not None
        maps["ours"] = outputs.map[None, None]
        return took

    found = interleaved({"bare": run_bare, "ours": run_ours}, rounds, warm_up=3)
    ratio = speed_up(found["ours"], found["bare"])
    difference = float(np.abs(maps["ours"] - maps["bare"]).max())
    return Duel(name, median(found["bare"], 3), median(found["ours"], 3), ratio, difference)


def network_input(frame: Frame, normalisation: Normalisation) -> Batch:
    """Normalise a frame of the network's input size with NumPy: `(1, 3, h, w)`."""
    mean, std = (np.asarray(values, np.float32) for values in (normalisation.mean, normalisation.std))
    pixels = (frame[..., ::-1] / np.float32(255.0) - mean) / std
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onnx", type=Path, default=find_model("mobile"))
    parser.add_argument("--checkpoint", type=Path, help="the same weights for PyTorch; default: beside the ONNX file")
    parser.add_argument("--engine", type=Path, help="a TensorRT engine of the same weights, on a machine with a GPU")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("-o", "--output", type=Path, help="write the figures as JSON")
    chosen = parser.parse_args()
    facts = environment("openvino")
    checkpoint = chosen.checkpoint or chosen.onnx.with_suffix(".pth")
    wanted = [(chosen.onnx, "openvino", "fp32"), (chosen.onnx, "openvino", "auto")]
    wanted += [(chosen.onnx, "onnxruntime", "auto")] if find_spec("onnxruntime") else []
    wanted += [(checkpoint, "torch", "auto")] if find_spec("torch") else []
    wanted += [(chosen.engine, "tensorrt", "auto")] if chosen.engine else []
    duels: dict[str, Duel] = {}
    try:
        for path, engine, precision in wanted:
            with ExitStack() as stack:
                backend = stack.enter_context(open_backend(path, engine, InferenceOptions(precision=precision)))
                name = f"{engine} {backend.precision}"
                if name in duels:
                    continue
                photograph = cv2.resize(packaged_photograph(), (backend.width, backend.height))
                bare = bare_call(backend, path)
                duels[name] = fight(name, bare, backend, np.asarray(photograph, np.uint8), chosen.rounds)
    except Br2netError as error:
        print(f"peers: {error}", file=sys.stderr)
        return error.exit_code
    found = [asdict(duel) | {"verdict": duel.verdict} for duel in duels.values()]
    save(chosen.output, {"environment": facts, "duels": found})
    return 3 if any(duel.verdict == "TOO SLOW" for duel in duels.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
