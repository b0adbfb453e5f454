"""Milliseconds per image of the paper's network and `mobile`, plain and restructured, on every CPU backend, in one run.

Run it by hand: `python -m br2net.benchmarks.forms [RESULT.json]`. Rounds are interleaved (A B C A B C …), so that a machine
whose speed drifts slows all alike. Medians are printed, and their ratio to the paper's configuration: PyTorch eager, FP32,
plain.
"""

import json
import platform
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np

from br2net.builder.comparison import packaged_photograph
from br2net.builder.export import ExportOptions, export_onnx
from br2net.files import write_text
from br2net.network import NAMED_CONFIGS, BR2Net, Checkpoint, save_checkpoint
from br2net.network.checkpoint import ModelFacts
from br2net.runtime.backend import Backend, InferenceOptions
from br2net.runtime.backends import open_backend
from br2net.runtime.preprocessing import preprocess

NETWORKS = {"resnext101": 320, "mobile": 384}
ROUNDS = {"resnext101": 10, "mobile": 60}
WARM_UP = 2


@dataclass(frozen=True)
class Timing:
    """Inference alone, batch 1: milliseconds, and the median over that of the paper's configuration of the same network."""

    network: str
    form: str
    backend: str
    precision: str
    size: int
    median_ms: float
    p90_ms: float
    rounds: int
    ratio_to_eager_plain: float


def time_network(name: str, folder: Path) -> list[Timing]:
    """Export `name` with random weights in both forms and time every backend in interleaved rounds."""
    size = NETWORKS[name]
    checkpoint = Checkpoint(BR2Net(NAMED_CONFIGS[name]).eval(), ModelFacts(name, size, size))
    files = {form: folder / f"{name}-{form}.onnx" for form in ("plain", "restructured")}
    for form, path in files.items():
        export_onnx(checkpoint, path, ExportOptions(plain=form == "plain"))
    save_checkpoint(folder / f"{name}.pth", checkpoint)
    contestants: list[tuple[str, Backend]] = [("plain", open_backend(folder / f"{name}.pth", "torch"))]
    for form, path in files.items():
        contestants.append((form, open_backend(path, "onnxruntime")))
        for precision in ("fp32", "auto"):
            contestants.append((form, open_backend(path, "openvino", InferenceOptions(precision=precision))))
    image = preprocess([packaged_photograph()], size, size, contestants[0][1].metadata.normalisation)
    samples: list[list[float]] = [[] for _ in contestants]
    for index in range(WARM_UP + ROUNDS[name]):
        for times, (_, backend) in zip(samples, contestants, strict=True):
            began = time.perf_counter()
            backend.infer(image)
            if index >= WARM_UP:
                times.append((time.perf_counter() - began) * 1000.0)
    medians = [float(np.median(times)) for times in samples]
    return [
        Timing(
            name,
            form,
            backend.name,
            backend.precision,
            size,
            round(median, 2),
            round(float(np.percentile(times, 90)), 2),
            len(times),
            round(median / medians[0], 3),
        )
        for (form, backend), times, median in zip(contestants, samples, medians, strict=True)
    ]


def main() -> None:
    """Time both networks, print the table, and write JSON where a path was given."""
    with tempfile.TemporaryDirectory() as folder:
        timings = [timing for name in NETWORKS for timing in time_network(name, Path(folder))]
    for item in timings:
        print(
            f"{item.network:<11} {item.form:<13} {item.backend:<12} {item.precision:<5} {item.size}² "
            f"{item.median_ms:8.1f} ms  p90 {item.p90_ms:8.1f}  {item.ratio_to_eager_plain:.3f} of eager plain"
        )
    if len(sys.argv) > 1:
        environment = {
            "processor": processor(),
            "threads": cv2.getNumberOfCPUs(),
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "onnxruntime-gpu", "openvino", "numpy", "opencv-python")},
        }
        result = {"environment": environment, "timings": [asdict(item) for item in timings]}
        write_text(Path(sys.argv[1]), json.dumps(result, indent=2) + "\n")


def processor() -> str:
    """Name of the processor, with the instructions that decide which precision is fast."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in facts.get("flags", "").split()]
    return f"{facts.get('model name', platform.machine())} ({', '.join(flags) or 'no vector extensions known'})"


if __name__ == "__main__":
    main()
