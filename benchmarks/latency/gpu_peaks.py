"""What the GPU can do at best: measured by PyTorch where it has CUDA, else as published. Not executed on a GPU by us."""

from typing import Any

from br2net.benchmarks.latency.devices import DEVICES
from br2net.benchmarks.latency.roofline import Copy, Peaks

SIDE = 4096  # of the square matrices
COPY_BYTES = tuple(1 << exponent for exponent in range(20, 30, 2))
TRIES = 10


def gpu_peaks(name: str) -> Peaks | None:
    """Peaks of the GPU of this name; None where they can neither be measured nor are known."""
    measured = _measured()
    if measured is not None:
        return measured
    wanted = name.lower().replace(" ", "-")
    keys = [key for key in DEVICES if key in wanted or wanted.endswith(key)]
    return DEVICES[keys[0]].peaks() if keys else None


def _measured() -> Peaks | None:
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    macs = {}
    for precision, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
        left, right = (torch.randn(SIDE, SIDE, device="cuda", dtype=kind) for _ in range(2))
        macs[precision] = SIDE**3 / _best_seconds(torch, lambda left=left, right=right: left @ right)
    left, right = (torch.randint(-9, 9, (SIDE, SIDE), device="cuda", dtype=torch.int8) for _ in range(2))
    macs["int8"] = SIDE**3 / _best_seconds(torch, lambda: torch._int_mm(left, right.t()))
    copies = []
    for size in COPY_BYTES:
        source = torch.ones(size // 2, dtype=torch.uint8, device="cuda")
        target = torch.empty_like(source)
        copies.append(
            Copy(size, size / _best_seconds(torch, lambda target=target, source=source: target.copy_(source)))
        )
    return Peaks(macs, tuple(copies), "measured")


def _best_seconds(torch: Any, work: Any) -> float:
    """The shortest of some tries, by CUDA events."""
    work()
    times: list[float] = []
    for _ in range(TRIES):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        work()
        ended.record()
        ended.synchronize()
        times.append(float(began.elapsed_time(ended)) / 1000.0)
    return min(times)
