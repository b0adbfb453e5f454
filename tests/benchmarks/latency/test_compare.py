"""Two runs compared: a real change is told from noise and from a slower machine."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from br2net.benchmarks.latency.compare import compare
from br2net.benchmarks.latency.record import Report, Row, write_json
from br2net.errors import InputError
from tests.benchmarks.latency.conftest import make_report


def written(path: Path, report: Report) -> Path:
    write_json(path, report)
    return path


def test_the_same_code_measured_again_is_the_same(tmp_path: Path) -> None:
    for seed in range(100, 900, 100):
        found = compare(
            written(tmp_path / "a.json", make_report()), written(tmp_path / "b.json", make_report(seed=seed))
        )
        assert {change.verdict for change in found.changes} == {"same"}


def test_ten_per_cent_slower_is_told(tmp_path: Path) -> None:
    old, new = written(tmp_path / "a.json", make_report()), written(tmp_path / "b.json", make_report(1.1, seed=50))
    found = compare(old, new)
    models = [change for change in found.changes if change.key.startswith("model")]
    assert {change.verdict for change in models} == {"slower"}
    assert all(change.ratio == pytest.approx(1.1, abs=0.03) for change in models)
    assert len(found.slower) == len(models)


def test_ten_per_cent_faster_is_no_regression(tmp_path: Path) -> None:
    old, new = written(tmp_path / "a.json", make_report()), written(tmp_path / "b.json", make_report(1 / 1.1, seed=50))
    assert compare(old, new).slower == []


def slowed(report: Report, factor: float) -> Report:
    """All rows, the baseline too, slower by a factor."""

    def slower(row: Row) -> Row:
        ends = row.times.end_to_end
        return replace(row, times=replace(row.times, end_to_end=replace(ends, p50=factor * ends.p50)))

    return replace(report, rows=tuple(map(slower, report.rows)))


def test_a_machine_that_is_slower_as_a_whole_is_not_held_against_the_code(tmp_path: Path) -> None:
    old, new = written(tmp_path / "a.json", make_report()), written(tmp_path / "b.json", slowed(make_report(), 1.3))
    found = compare(old, new)
    assert found.drift == pytest.approx(1.3, rel=1e-4)
    assert {change.verdict for change in found.changes} == {"same"}


def test_without_a_baseline_times_are_compared_as_they_are(tmp_path: Path) -> None:
    def without(report: Report) -> Report:
        return replace(report, rows=report.rows[1:], series=report.series[1:])

    old = written(tmp_path / "a.json", without(make_report()))
    found = compare(old, written(tmp_path / "b.json", without(slowed(make_report(), 1.3))))
    assert found.drift is None
    assert {change.verdict for change in found.changes} == {"slower"}


def test_rows_that_one_run_alone_has_are_named(tmp_path: Path) -> None:
    full, short = make_report(), make_report()
    short = replace(short, rows=short.rows[:-1], series=short.series[:-1])
    found = compare(written(tmp_path / "a.json", full), written(tmp_path / "b.json", short))
    assert found.gone == (full.rows[-1].setting.key,)
    assert found.fresh == ()


def test_another_machine_is_refused(tmp_path: Path) -> None:
    other = make_report()
    other = replace(other, environment=replace(other.environment, cores=64))
    with pytest.raises(InputError, match="different machines"):
        compare(written(tmp_path / "a.json", make_report()), written(tmp_path / "b.json", other))


def test_a_result_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", make_report())
    raw = json.loads(path.read_text())
    del raw["rows"][3]["end_to_end"]
    (tmp_path / "b.json").write_text(json.dumps(raw))
    with pytest.raises(InputError, match="not whole"):
        compare(path, tmp_path / "b.json")
