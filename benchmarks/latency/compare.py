"""Two results compared: which rows became slower by more than noise."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from br2net.benchmarks.latency.record import read_json
from br2net.errors import InputError

SMALLEST_CHANGE = 0.03  # less than this is never called a change
ERRORS = 3.0  # standard errors of the ratio of two medians
Verdict = Literal["slower", "faster", "same"]


@dataclass(frozen=True)
class Change:
    """One row of both results.

    Attributes:
        key: key of the row.
        baseline_ms, candidate_ms: medians per image, end to end.
        ratio: candidate over baseline; relative to the paper's configuration where both results have it, so that a machine
            that was slower as a whole does not count as a change.
        noise: a ratio farther from 1 than this counts.
    """

    key: str
    baseline_ms: float
    candidate_ms: float
    ratio: float
    noise: float

    @property
    def verdict(self) -> Verdict:
        """Change beyond noise."""
        if self.ratio > 1.0 + self.noise:
            return "slower"
        return "faster" if self.ratio < 1.0 / (1.0 + self.noise) else "same"


@dataclass(frozen=True)
class Comparison:
    """All rows of two results.

    Attributes:
        changes: rows of both, in the order of the candidate.
        gone, fresh: keys that only the baseline or only the candidate has.
        drift: candidate over baseline of the paper's configuration; None where a result has none.
    """

    changes: tuple[Change, ...]
    gone: tuple[str, ...]
    fresh: tuple[str, ...]
    drift: float | None

    @property
    def slower(self) -> list[Change]:
        """Rows that became slower."""
        return [change for change in self.changes if change.verdict == "slower"]


def compare(baseline: Path, candidate: Path) -> Comparison:
    """Compare two results of one machine.

    Raises:
        InputError: if one is no result, they are of different machines, or they have no row in common.
    """
    files = f"{baseline} and {candidate}"
    before, after = read_json(baseline), read_json(candidate)
    try:
        return _compare(before, after, files)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{files}: one is not whole: {error} is missing or of another type.") from error


def _compare(before: Mapping[str, Any], after: Mapping[str, Any], files: str) -> Comparison:
    machines = [tuple(raw["environment"][name] for name in ("processor", "cores", "gpu")) for raw in (before, after)]
    if machines[0] != machines[1]:
        names = [f"{processor}, {cores} cores, GPU {gpu or 'none'}" for processor, cores, gpu in machines]
        raise InputError(f"{files} are of different machines ({names[0]}; {names[1]}).")
    old, new = ({row["key"]: row for row in raw["rows"]} for raw in (before, after))
    common = [key for key in new if key in old]
    paper = next((key for key in common if new[key]["role"] == "paper"), None)
    drift = _ms(new[paper]) / _ms(old[paper]) if paper else None
    drift_error = math.hypot(_error(old[paper]), _error(new[paper])) if paper else 0.0
    changes = []
    for key in common:
        if key != paper:
            ratio = _ms(new[key]) / _ms(old[key]) / (drift or 1.0)
            noise = max(SMALLEST_CHANGE, ERRORS * math.hypot(_error(old[key]), _error(new[key]), drift_error))
            changes.append(Change(key, _ms(old[key]), _ms(new[key]), ratio, noise))
    if not changes:
        raise InputError(f"{files} have no row in common{' but the baseline' if paper else ''}.")
    gone, fresh = (tuple(key for key in one if key not in other) for one, other in ((old, new), (new, old)))
    return Comparison(tuple(changes), gone, fresh, drift)


def _ms(row: Mapping[str, Any]) -> float:
    """Return the median of one image, end to end."""
    return float(row["end_to_end"]["p50"]) / int(row["batch"])


def _error(row: Mapping[str, Any]) -> float:
    """Return the relative standard error of that median; where it is not known, a tenth."""
    error = row["end_to_end"]["median_error"]
    return 0.1 if error is None else float(error) / float(row["end_to_end"]["p50"])
