"""The timing loop: warm-up, then rounds in which every contestant runs its share, A B A B."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from br2net.errors import InputError

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
        stages: name to time, in order; they make up the whole.
        end_to_end: from a frame in memory to its map at the frame's size.
        enqueue: time the CPU took to give work to a device; None where there is none.
    """

    stages: dict[str, float]
    end_to_end: float
    enqueue: float | None = None


class Contestant(Protocol):
    """What the loop runs."""

    def run(self) -> Sample:
        """One iteration."""


@dataclass
class Series:
    """All counted samples of one contestant, by round."""

    rounds: list[list[Sample]] = field(default_factory=list)

    @property
    def samples(self) -> list[Sample]:
        """Of all rounds, in order."""
        return [sample for samples in self.rounds for sample in samples]

    def medians(self) -> list[float]:
        """End to end, one for each round that has samples."""
        return [float(np.median([sample.end_to_end for sample in samples])) for samples in self.rounds if samples]


def time_interleaved(
    contestants: Sequence[Contestant],
    method: Method,
    series: Sequence[Series],
    on_round: Callable[[int], None] | None = None,
) -> None:
    """Time contestants against each other, filling `series`, which holds what there is when this is interrupted.

    Every round runs each contestant for a burst of iterations, so that drift of the machine touches all alike; every
    other round goes backwards, so that none is always first. Rounds are added until all have had enough.

    Args:
        contestants: warmed up here.
        method: how much is enough.
        series: one empty series for each contestant.
        on_round: called with the number of rounds that are done.
    """
    bursts, rewarm = [], []
    rounds = min(ROUNDS, method.iterations)
    for contestant in contestants:
        typical = min(contestant.run().end_to_end for _ in range(method.warm_up))
        wanted = max(method.iterations, math.ceil(method.seconds * 1000.0 / max(typical, 1e-3)))
        bursts.append(math.ceil(wanted / rounds))
        rewarm.append(typical < QUICK_MS and len(contestants) > 1)
    spent = [0.0] * len(contestants)
    done = 0
    while done < rounds or not _enough(series, spent, method):
        order = list(range(len(contestants)))
        for index in reversed(order) if done % 2 else order:
            series[index].rounds.append([])
            if rewarm[index]:
                contestants[index].run()
            for _ in range(bursts[index]):
                sample = contestants[index].run()
                series[index].rounds[-1].append(sample)
                spent[index] += sample.end_to_end / 1000.0
        done += 1
        if on_round is not None:
            on_round(done)


def _enough(series: Sequence[Series], spent: Sequence[float], method: Method) -> bool:
    counts = [sum(map(len, item.rounds)) for item in series]
    return min(counts) >= method.iterations and min(spent) >= method.seconds
