"""By hand: `python -m benchmarks.scripts.peers [--onnx FILE --checkpoint FILE] [--engine FILE] [-o RESULT.json]`.

Exit 3 if this package is more than 5 % slower than a bare call of the same engine with the same weights.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from benchmarks.scripts.peers.bare import onnxruntime_call, openvino_call, polygraphy_call, torch_call
from benchmarks.scripts.peers.duel import Duel, Pair, fight
from br2net.benchmarks.latency.conditions import between, snapshot
from br2net.benchmarks.latency.environment import read_environment
from br2net.benchmarks.latency.record import rounded
from br2net.benchmarks.latency.timing import Method
from br2net.builder.comparison import packaged_photograph
from br2net.errors import Br2netError
from br2net.files import write_text
from br2net.runtime.backend import Backend, InferenceOptions
from br2net.runtime.backends import open_backend
from br2net.runtime.preprocessing import preprocess

OPENVINO_NAMES = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


def main() -> int:
    """Run the command line; gives the exit code."""
    models = Path(str(resources.files("br2net").joinpath("models")))
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scripts.peers", description=__doc__)
    parser.add_argument("--onnx", type=Path, default=models / "mobile.onnx")
    parser.add_argument("--checkpoint", type=Path, default=models / "mobile.pth", help="the same weights for PyTorch")
    parser.add_argument("--engine", type=Path, help="a TensorRT engine of the same weights, on a machine with a GPU")
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("-o", "--output", type=Path, help="write the figures as JSON")
    chosen = parser.parse_args()
    environment, before = read_environment(), snapshot()
    try:
        with ExitStack() as stack:
            opened = _open(chosen, stack)
            first = opened[0]
            batch = preprocess([packaged_photograph()], first.width, first.height, first.metadata.normalisation)
            pairs = list(_pairs(chosen, opened, batch.shape))
            duels = fight(
                pairs, batch, Method(3, chosen.iterations, chosen.seconds), lambda name: print(f"{name} …", flush=True)
            )
    except Br2netError as error:
        print(f"peers: {error}", file=sys.stderr)
        return error.exit_code
    conditions = between(before, snapshot(), environment.cores)
    for duel in duels:
        print(_line(duel))
    for text in conditions.warnings():
        print(text)
    if chosen.output is not None:
        result = {
            "environment": asdict(environment),
            "conditions": asdict(conditions),
            "duels": [asdict(duel) for duel in duels],
        }
        write_text(chosen.output, json.dumps(rounded(result), indent=2) + "\n")
    return 3 if any(duel.too_slow for duel in duels) else 0


def _line(duel: Duel) -> str:
    text = f"{duel.name:<20} bare {duel.bare_ms:8.2f} ms"
    if duel.ours_ms is None or duel.ratio is None:
        return text
    ratio = duel.ratio
    text += f"  ours {duel.ours_ms:8.2f} ms, {ratio.median:.3f} times as long ({ratio.low:.3f} to {ratio.high:.3f})"
    return f"{text}  {'TOO SLOW' if duel.too_slow else 'too noisy to tell' if duel.is_unsure else 'as fast'}"


def _open(chosen: argparse.Namespace, stack: ExitStack) -> list[Backend]:
    """This package's backends, one for each engine that is installed."""
    wanted = [(chosen.onnx, "openvino", "fp32"), (chosen.onnx, "openvino", "auto")]
    if find_spec("onnxruntime"):
        wanted.append((chosen.onnx, "onnxruntime", "auto"))
    if find_spec("torch"):
        wanted.append((chosen.checkpoint, "torch", "auto"))
    if chosen.engine is not None:
        wanted.append((chosen.engine, "tensorrt", "auto"))
    opened: list[Backend] = []
    for path, name, precision in wanted:
        backend = stack.enter_context(open_backend(path, name, InferenceOptions(precision=precision)))
        if not any((item.name, item.precision) == (backend.name, backend.precision) for item in opened):
            opened.append(backend)
    return opened


def _pairs(chosen: argparse.Namespace, opened: list[Backend], shape: tuple[int, ...]) -> Iterator[Pair]:
    for backend in opened:
        name = f"{backend.name} {backend.precision}"
        if backend.name == "openvino":
            yield Pair(name, openvino_call(chosen.onnx, shape, OPENVINO_NAMES[backend.precision]), backend.infer)
        elif backend.name == "onnxruntime":
            yield Pair(name, onnxruntime_call(chosen.onnx), backend.infer)
        elif backend.name == "torch":
            yield Pair(name, torch_call(chosen.checkpoint, compiled=False), backend.infer)
            yield Pair("torch.compile", torch_call(chosen.checkpoint, compiled=True), None)
        else:
            yield Pair(name, polygraphy_call(chosen.engine), backend.infer)


if __name__ == "__main__":
    sys.exit(main())
