"""The timing loop: warm-up, then rounds in which every contestant runs its share, A B A B."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from br2net.errors import InputError
from br2net.runtime.backend import Backend
from br2net.runtime.postprocessing import Wanted
from br2net.types import Frame

STAGES = ("preprocess", "transfer", "inference", "postprocess")
ROUNDS = 10
QUICK_MS = 100.0  # a contestant quicker than this runs once uncounted in each round, since others have had the caches


@dataclass(frozen=True)
class Method:
    """How long to measure. Each contestant is measured for at least `iterations` and at least `seconds`.

    Raises:
        InputError: if one of them is not possible.
    """

    warm_up: int = 3
    iterations: int = 30
    seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.warm_up < 1 or self.iterations < 1 or not 0.0 <= self.seconds < math.inf:
            raise InputError("There must be at least one warm-up run and one iteration, and no less than 0 seconds.")


@dataclass(frozen=True)
class Sample:
    """Milliseconds of one iteration.

    Attributes:
        stages: time by stage, in order; they add up to the whole.
        end_to_end: from a frame in memory to its map at the frame's size.
        enqueue: CPU time to give the work to a device; None for a backend without one.
    """

    stages: dict[str, float]
    end_to_end: float
    enqueue: float | None = None


@dataclass(frozen=True)
class Series:
    """All counted samples of one contestant, by round."""

    rounds: list[list[Sample]] = field(default_factory=list)

    @property
    def samples(self) -> list[Sample]:
        """Samples of all rounds, in order."""
        return [sample for samples in self.rounds for sample in samples]

    def medians(self) -> list[float]:
        """Return the median end to end of each round that has samples."""
        return [float(np.median([sample.end_to_end for sample in samples])) for samples in self.rounds if samples]


def time_request(backend: Backend, frames: Sequence[Frame]) -> Sample:
    """Compute the maps of one batch of frames as `Detector` does, and time it stage by stage.

    Where the backend has a device clock, `transfer` and `inference` (the kernels before and after the network included)
    are by that clock. The rest of the time is the CPU's: `preprocess` as far as `prepare` took it, `postprocess` otherwise.
    """
    began = time.perf_counter_ns()
    with backend.request(len(frames)) as request:
        request.prepare(frames)
        prepared = time.perf_counter_ns()
        request.run()
        ran = time.perf_counter_ns()
        request.finish(Wanted.MAP)
        ended = time.perf_counter_ns()
        device = request.device_times()
    whole, preprocess = (ended - began) / 1e6, (prepared - began) / 1e6
    if device is None:
        stages = {"preprocess": preprocess, "inference": (ran - prepared) / 1e6, "postprocess": (ended - ran) / 1e6}
        return Sample(stages, whole)
    inference = min(device.compute_ms, whole)
    transfer = min(device.upload_ms + device.download_ms, whole - inference)
    preprocess = min(preprocess, whole - inference - transfer)
    rest = whole - inference - transfer - preprocess
    return Sample(dict(zip(STAGES, (preprocess, transfer, inference, rest), strict=True)), whole, device.enqueue_ms)


def time_interleaved(
    runs: Sequence[Callable[[], Sample]],
    method: Method,
    series: Sequence[Series],
    on_round: Callable[[int], None] = lambda _: None,
) -> None:
    """Time contestants against each other, filling `series`, which keeps its samples when this is interrupted.

    Every round runs each contestant for a burst of iterations, so that drift of the machine affects all alike; every
    other round goes backwards, so that none is always first. Rounds are added until all have had enough.

    Args:
        runs: one function for each contestant, which runs and times one iteration; warmed up here.
        method: how much is enough.
        series: one empty series for each contestant.
        on_round: called with the number of rounds that are done.
    """
    bursts, rewarm = [], []
    rounds = min(ROUNDS, method.iterations)
    for run in runs:
        typical = min(run().end_to_end for _ in range(method.warm_up))
        wanted = max(method.iterations, math.ceil(method.seconds * 1000.0 / max(typical, 1e-3)))
        bursts.append(math.ceil(wanted / rounds))
        rewarm.append(typical < QUICK_MS and len(runs) > 1)
    spent = [0.0] * len(runs)
    done = 0
    while done < rounds or not _enough(series, spent, method):
        order = range(len(runs))
        for index in reversed(order) if done % 2 else order:
            series[index].rounds.append([])
            if rewarm[index]:
                runs[index]()
            for _ in range(bursts[index]):
                sample = runs[index]()
                series[index].rounds[-1].append(sample)
                spent[index] += sample.end_to_end / 1000.0
        done += 1
        on_round(done)


def _enough(series: Sequence[Series], spent: Sequence[float], method: Method) -> bool:
    counts = [sum(map(len, item.rounds)) for item in series]
    return min(counts) >= method.iterations and min(spent) >= method.seconds
