"""Two runs compared: what became slower by more than noise."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from br2net.benchmarks.latency.store import read_json
from br2net.errors import InputError

SMALLEST_CHANGE = 0.03  # less than this is never called a change
ERRORS = 3.0  # standard errors of the ratio of two medians
Verdict = Literal["slower", "faster", "same"]


@dataclass(frozen=True)
class Change:
    """One row in both runs.

    Attributes:
        key: of the row.
        old_ms, new_ms: medians per image, end to end.
        ratio: new over old; by the baseline of both runs where they have it, so that a machine that was slower as a
            whole is not held against the code.
        noise: a ratio farther from 1 than this counts.
    """

    key: str
    old_ms: float
    new_ms: float
    ratio: float
    noise: float

    @property
    def verdict(self) -> Verdict:
        """What changed, beyond noise."""
        if self.ratio > 1.0 + self.noise:
            return "slower"
        return "faster" if self.ratio < 1.0 / (1.0 + self.noise) else "same"


@dataclass(frozen=True)
class Comparison:
    """All rows of two runs.

    Attributes:
        changes: rows that both have, in the order of the new run.
        gone, fresh: rows that one alone has.
        drift: new over old of the paper's configuration; None where a run has none.
    """

    changes: tuple[Change, ...]
    gone: tuple[str, ...]
    fresh: tuple[str, ...]
    drift: float | None

    @property
    def slower(self) -> list[Change]:
        """The regressions."""
        return [change for change in self.changes if change.verdict == "slower"]


def compare(old: Path, new: Path) -> Comparison:
    """Compare two results of one machine.

    Raises:
        InputError: if one is no result, they are of different machines, or they have no row in common.
    """
    first, second = read_json(old), read_json(new)
    try:
        return _compare(first, second, old, new)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{old} or {new} is not whole: {error} is missing or of another type.") from error


def _compare(first: Mapping[str, Any], second: Mapping[str, Any], old: Path, new: Path) -> Comparison:
    machines = [tuple(raw["environment"][name] for name in ("processor", "cores", "gpu")) for raw in (first, second)]
    if machines[0] != machines[1]:
        names = [f"{processor}, {cores} cores, GPU {gpu or 'none'}" for processor, cores, gpu in machines]
        raise InputError(f"{old} and {new} are of different machines ({names[0]}; {names[1]}).")
    before, after = ({row["key"]: row for row in raw["rows"]} for raw in (first, second))
    common = [key for key in after if key in before]
    if not common:
        raise InputError(f"{old} and {new} have no row in common.")
    paper = next((key for key in common if after[key]["role"] == "paper"), None)
    drift = _ms(after[paper]) / _ms(before[paper]) if paper else None
    drift_error = math.hypot(_error(before[paper]), _error(after[paper])) if paper else 0.0
    changes = []
    for key in common:
        own = key == paper or drift is None
        ratio = _ms(after[key]) / _ms(before[key]) / (1.0 if own or drift is None else drift)
        errors = math.hypot(_error(before[key]), _error(after[key]), 0.0 if own else drift_error)
        noise = max(SMALLEST_CHANGE, ERRORS * errors)
        if key != paper:
            changes.append(Change(key, _ms(before[key]), _ms(after[key]), ratio, noise))
    if not changes:
        raise InputError(f"{old} and {new} have no row in common but the baseline.")
    gone, fresh = (tuple(key for key in one if key not in other) for one, other in ((before, after), (after, before)))
    return Comparison(tuple(changes), gone, fresh, drift)


def _ms(row: Mapping[str, Any]) -> float:
    """Median of one image, end to end."""
    return float(row["end_to_end"]["p50"]) / int(row["batch"])


def _error(row: Mapping[str, Any]) -> float:
    """Relative standard error of that median; where it is not known, a tenth."""
    error = row["end_to_end"]["median_error"]
    return 0.1 if error is None else float(error) / float(row["end_to_end"]["p50"])
