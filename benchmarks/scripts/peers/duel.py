"""Our backend against the bare call of its engine, interleaved."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.scripts.peers.bare import Batch, Call
from br2net.benchmarks.latency.statistics import Ratio, speed_up
from br2net.benchmarks.latency.timing import Method, Sample, Series, time_interleaved

LARGEST_SLOWDOWN = 1.05


@dataclass(frozen=True)
class Pair:
    """The same file: by the bare call of an engine, and by this package (None where it has no such backend)."""

    name: str
    bare: Call
    ours: Call | None


@dataclass(frozen=True)
class Duel:
    """Medians in milliseconds; `ratio` is ours over bare, round by round; `difference` the largest of the two maps."""

    name: str
    bare_ms: float
    ours_ms: float | None
    ratio: Ratio | None
    difference: float | None

    @property
    def too_slow(self) -> bool:
        """Whether ours is slower by more than 5 % in most rounds, and slower in nine of ten: not by chance."""
        return self.ratio is not None and self.ratio.median > LARGEST_SLOWDOWN and self.ratio.low > 1.0

    @property
    def is_unsure(self) -> bool:
        """Whether it looks too slow and the rounds scatter too much to say so."""
        return self.ratio is not None and self.ratio.median > LARGEST_SLOWDOWN and not self.too_slow


@dataclass(frozen=True)
class _Timed:
    call: Call
    batch: Batch

    def run(self) -> Sample:
        began = time.perf_counter_ns()
        self.call(self.batch)
        took = (time.perf_counter_ns() - began) / 1e6
        return Sample({"inference": took}, took)


def fight(
    pairs: Sequence[Pair], batch: Batch, method: Method, progress: Callable[[str], None] = lambda _: None
) -> list[Duel]:
    """Time each pair by itself, so that each has the same neighbour; gives one result for each."""
    found = []
    for pair in pairs:
        progress(pair.name)
        calls = [pair.bare] if pair.ours is None else [pair.bare, pair.ours]
        series = [Series() for _ in calls]
        time_interleaved([_Timed(call, batch) for call in calls], method, series)
        medians = [float(np.median([sample.end_to_end for sample in item.samples])) for item in series]
        if pair.ours is None:
            found.append(Duel(pair.name, medians[0], None, None, None))
            continue
        difference = float(np.abs(pair.ours(batch) - pair.bare(batch)).max())
        ratio = speed_up(series[1].medians(), series[0].medians())
        found.append(Duel(pair.name, medians[0], medians[1], ratio, difference))
    return found
