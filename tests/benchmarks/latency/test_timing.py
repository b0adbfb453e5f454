"""The timing loop, with contestants that know how often and in which order they ran."""

import itertools
import math
from dataclasses import dataclass, field

import pytest

from br2net.benchmarks.latency.timing import Method, Sample, Series, time_interleaved
from br2net.errors import InputError


@dataclass
class Counted:
    """Takes as long as told, by its own account, and notes its name at each run."""

    name: str
    log: list[str]
    milliseconds: float = 400.0
    stop_at: float = math.inf
    runs: "itertools.count[int]" = field(default_factory=itertools.count)

    def run(self) -> Sample:
        self.log.append(self.name)
        if next(self.runs) >= self.stop_at:
            raise KeyboardInterrupt
        return Sample({"inference": self.milliseconds}, self.milliseconds)


def test_rounds_alternate_and_every_other_goes_backwards() -> None:
    log: list[str] = []
    series = [Series(), Series()]
    method = Method(warm_up=2, iterations=4, seconds=0.0)
    time_interleaved([Counted("A", log).run, Counted("B", log).run], method, series)
    assert "".join(log[:4]) == "AABB"  # warm-up
    runs = [name for name, _ in itertools.groupby(log[4:])]
    assert "".join(runs) == "ABABA"[: len(runs)]
    assert [len(item.samples) for item in series] == [4, 4]


def test_there_are_at_least_the_seconds_asked_for() -> None:
    series = [Series()]
    time_interleaved([Counted("A", [], milliseconds=30.0).run], Method(1, 2, 0.9), series)
    assert sum(sample.end_to_end for sample in series[0].samples) >= 900.0


def test_an_interrupted_run_keeps_what_there_is() -> None:
    series = [Series(), Series()]
    contestants = [Counted("A", []).run, Counted("B", [], stop_at=6).run]
    with pytest.raises(KeyboardInterrupt):
        time_interleaved(contestants, Method(1, 40, 0.0), series)
    assert len(series[0].samples) > 0
    assert 0 < len(series[1].samples) < 6


def test_medians_leave_out_a_round_that_was_cut_off() -> None:
    series = Series([[Sample({}, 1.0), Sample({}, 3.0), Sample({}, 2.0)], []])
    assert series.medians() == [2.0]


@pytest.mark.parametrize(
    ("warm_up", "iterations", "seconds"), [(0, 1, 1.0), (1, 0, 1.0), (1, 1, -1.0), (1, 1, math.nan)]
)
def test_an_impossible_method_is_refused(warm_up: int, iterations: int, seconds: float) -> None:
    with pytest.raises(InputError, match="at least"):
        Method(warm_up, iterations, seconds)
