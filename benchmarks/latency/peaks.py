"""Peaks of this machine: multiply-accumulates per second in a GEMM, and bytes per second in a copy."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from br2net.benchmarks.latency.devices import DEVICES
from br2net.benchmarks.latency.roofline import Copy, Peaks
from br2net.runtime.openvino.core import shared_core

CHANNELS, SIDE = 1024, 64  # of the 1x1 convolution that is the GEMM: 4.3 G multiply-accumulates
COPY_BYTES = (*(1 << exponent for exponent in range(18, 30, 2)), 1 << 29)  # 256 KiB to 512 MiB, moved
COPY_TOTAL = 1 << 28  # moved in one try at least
LINE = 64  # bytes of a cache line
GPU_SIDE, GPU_TRIES = 4096, 10  # of square matrices
GPU_COPY_BYTES = tuple(1 << exponent for exponent in range(20, 30, 2))


def measure_peaks(seconds: float = 0.4, largest_copy: int = COPY_BYTES[-1]) -> Peaks:
    """Measure the processor: GEMMs by OpenVINO in every precision that it computes in here, and by NumPy; copies.

    Args:
        seconds: for each GEMM; the best try counts.
        largest_copy: bytes moved, for tests and machines with little memory.
    """
    macs = {"fp32": max(_openvino_gemm("fp32", seconds) or 0.0, _numpy_gemm(seconds))}
    for precision in ("bf16", "fp16", "int8"):
        rate = _openvino_gemm(precision, seconds)
        if rate is not None:
            macs[precision] = rate
    threads = max(cv2.getNumberOfCPUs(), 1)
    with ThreadPoolExecutor(threads) as pool:
        copies = tuple(_copy(size, threads, pool) for size in COPY_BYTES if size <= largest_copy)
    return Peaks(macs, copies, "measured")


def _best_seconds(work: Callable[[], object], seconds: float) -> float:
    """Return the shortest of as many tries as fit into `seconds`, and of three at least."""
    work()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def _numpy_gemm(seconds: float) -> float:
    rng = np.random.default_rng(0)
    left, right = (rng.random((CHANNELS, CHANNELS), np.float32) for _ in range(2))
    out = np.empty((CHANNELS, CHANNELS), np.float32)
    return CHANNELS**3 / _best_seconds(lambda: np.matmul(left, right, out=out), seconds)


def _openvino_gemm(precision: str, seconds: float) -> float | None:
    """Return the multiply-accumulates per second of a 1x1 convolution; None where OpenVINO uses another precision."""
    import openvino
    from openvino import opset13 as ops

    hint = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}[precision]
    rng = np.random.default_rng(0)
    image = ops.parameter([1, CHANNELS, SIDE, SIDE], np.float32)
    weight = rng.normal(0.0, 0.05, (CHANNELS, CHANNELS, 1, 1)).astype(np.float32)
    data, kernel = image, ops.constant(weight)
    if precision == "int8":
        data = ops.fake_quantize(image, *(np.float32(value) for value in (0.0, 1.0, 0.0, 1.0)), levels=256)
        kernel = ops.fake_quantize(kernel, *(np.float32(value) for value in (-0.2, 0.2, -0.2, 0.2)), levels=255)
    product = ops.convolution(data, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    model = openvino.Model([ops.reduce_max(product, np.array([1, 2, 3]), True)], [image], "gemm")
    core = shared_core(openvino.Core)
    try:
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"})
    except RuntimeError:
        return None
    if precision not in _executed_precisions(compiled):
        return None
    request = compiled.create_infer_request()
    batch = rng.random((1, CHANNELS, SIDE, SIDE), np.float32)
    best = _best_seconds(lambda: request.infer([batch], share_inputs=True), seconds)
    return CHANNELS * CHANNELS * SIDE * SIDE / best


def _executed_precisions(compiled: object) -> set[str]:
    """Return the precisions that the convolutions of a compiled model compute in."""
    names = {"f32": "fp32", "bf16": "bf16", "f16": "fp16", "i8": "int8", "u8": "int8"}
    found = set()
    for node in compiled.get_runtime_model().get_ordered_ops():  # type: ignore[attr-defined]
        facts = node.get_rt_info()
        if str(facts["layerType"].value) == "Convolution":
            found.add(names.get(str(facts["runtimePrecision"].value), "unknown"))
    return found


def _copy(size: int, threads: int, pool: ThreadPoolExecutor) -> Copy:
    """Copy `size / 2` bytes shared out among the threads, over and over; size counts what is read and written."""
    own = max(size // 2 // threads // 8 * 8, LINE)
    repeats = max(COPY_TOTAL // size, 1)
    sources, targets = ([np.ones(own // 8 + repeats * LINE // 8) for _ in range(threads)] for _ in range(2))

    def run() -> None:
        list(pool.map(_repeat_copy, sources, targets, [own] * threads, [repeats] * threads))

    best = _best_seconds(run, 0.1)
    moved = 2 * own * threads
    return Copy(moved, moved * repeats / best)


def _repeat_copy(source: NDArray[np.float64], target: NDArray[np.float64], size: int, repeats: int) -> None:
    """One call of NumPy that copies the same bytes `repeats` times, moved on by a cache line each time."""
    shape, strides = (repeats, size // 8), (LINE, 8)
    np.copyto(as_strided(target, shape, strides), as_strided(source, shape, strides))


def gpu_peaks(name: str) -> Peaks | None:
    """Return the peaks of the GPU of this name, measured by PyTorch or published; None where neither is possible."""
    measured = _measured_gpu()
    if measured is not None:
        return measured
    wanted = name.lower().replace(" ", "-")
    keys = [key for key in DEVICES if key in wanted or wanted.endswith(key)]
    return DEVICES[keys[0]].peaks() if keys else None


def _measured_gpu() -> Peaks | None:
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    macs = {}
    for precision, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
        left, right = (torch.randn(GPU_SIDE, GPU_SIDE, device="cuda", dtype=kind) for _ in range(2))
        macs[precision] = GPU_SIDE**3 / _best_gpu_seconds(torch, lambda left=left, right=right: left @ right)
    left, right = (torch.randint(-9, 9, (GPU_SIDE, GPU_SIDE), device="cuda", dtype=torch.int8) for _ in range(2))
    macs["int8"] = GPU_SIDE**3 / _best_gpu_seconds(torch, lambda: torch._int_mm(left, right.t()))
    copies = []
    for size in GPU_COPY_BYTES:
        source = torch.ones(size // 2, dtype=torch.uint8, device="cuda")
        target = torch.empty_like(source)
        copies.append(
            Copy(size, size / _best_gpu_seconds(torch, lambda target=target, source=source: target.copy_(source)))
        )
    return Peaks(macs, tuple(copies), "measured")


def _best_gpu_seconds(torch: Any, work: Any) -> float:
    """Return the shortest of some tries, by CUDA events."""
    work()
    times: list[float] = []
    for _ in range(GPU_TRIES):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        work()
        ended.record()
        ended.synchronize()
        times.append(float(began.elapsed_time(ended)) / 1000.0)
    return min(times)
