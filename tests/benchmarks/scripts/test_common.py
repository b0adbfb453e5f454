"""Rounds, results and memory of the measurements by hand."""

import json
from pathlib import Path

import pytest

from benchmarks.scripts.common import ResidentMemory, environment, interleaved, save


def test_every_round_runs_every_way_and_warm_up_does_not_count() -> None:
    order: list[str] = []
    ways = {name: (lambda name=name: order.append(name) or len(order)) for name in "ab"}  # type: ignore[misc]
    assert interleaved(ways, rounds=2, warm_up=1) == {"a": [3, 5], "b": [4, 6]}
    assert order == list("ababab")


def test_figures_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"environment": environment("opencv-python"), "rows": [{"a": 1}, {"a": 2}]}
    save(tmp_path / "x.json", facts)
    assert json.loads((tmp_path / "x.json").read_text()) == facts
    assert capsys.readouterr().out.count("rows: ") == 2


def test_resident_memory_is_that_at_a_share_of_the_time() -> None:
    memory = ResidentMemory()
    assert memory.at(0.5) == 0.0
    memory.samples_mib = [1.0, 2.0, 3.0]
    assert [memory.at(share) for share in (0.0, 0.5, 1.0)] == [1.0, 2.0, 3.0]
