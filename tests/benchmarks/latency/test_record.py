"""What is kept of a run, against its schema."""

import csv
import io
import json
import math
from dataclasses import replace
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from br2net.benchmarks.latency.record import Limits, Report, read_json, row_warnings, samples_csv, write_json
from br2net.benchmarks.latency.statistics import describe
from br2net.benchmarks.latency.timing import Sample
from br2net.errors import InputError


def check_schema(raw: object) -> None:
    """Against the schema that comes with the package."""
    text = resources.files("br2net.benchmarks.latency").joinpath("schema.json").read_text(encoding="utf-8")
    jsonschema.Draft202012Validator(json.loads(text)).validate(raw)


def test_a_report_follows_the_schema_and_is_read_back(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "benchmark.json"
    write_json(path, report)
    raw = read_json(path)
    check_schema(raw)
    assert [row["key"] for row in raw["rows"]] == [row.setting.key for row in report.rows]
    assert raw["complete"] is True


def test_keys_tell_all_rows_apart(report: Report) -> None:
    assert len({row.setting.key for row in report.rows}) == len(report.rows)


def test_an_interrupted_report_says_so(report: Report) -> None:
    cut = replace(report, interrupted="timing").to_json()
    check_schema(cut)
    assert cut["complete"] is False
    assert any("cut off during timing" in text for text in cut["warnings"])


def test_every_sample_is_in_the_csv(report: Report) -> None:
    lines = list(csv.DictReader(io.StringIO(samples_csv(report))))
    for row, series in zip(report.rows, report.series, strict=True):
        own = [float(line["end_to_end_ms"]) for line in lines if line["row"] == row.setting.key]
        assert own == pytest.approx([sample.end_to_end for sample in series.samples], abs=1e-4)
    assert {line["transfer_ms"] for line in lines} == {""}


def test_share_of_the_limit_is_bound_over_measurement(report: Report) -> None:
    row = report.rows[0]
    row = replace(row, limits=Limits(bounds_ms={"inference": row.times.stages["inference"].p50 / 4}))
    assert row.share_of_limit() == pytest.approx(0.25)
    assert row.share_of_limit("transfer") is None


@pytest.mark.parametrize(
    ("transfer", "enqueue", "word"), [(5.0, 0.5, "Transfer-bound"), (0.5, 2.4, "Enqueue-bound"), (0.1, 0.1, "")]
)
def test_a_row_warns_of_what_bounds_it(transfer: float, enqueue: float, word: str) -> None:
    samples = [Sample({"transfer": transfer, "inference": 2.0}, 3.0, enqueue)] * 20
    said = row_warnings(samples, describe([3.0] * 20), describe([2.0] * 20))
    assert [text.split(":")[0] for text in said] == ([word] if word else [])


def test_a_row_warns_of_few_and_of_unsteady_samples() -> None:
    samples = [Sample({"inference": value}, value) for value in (1.0, 1.3, 0.9)]
    times = describe([sample.end_to_end for sample in samples])
    said = " ".join(row_warnings(samples, times, times))
    assert "Only 3 iterations" in said
    assert "Unstable" in said


@pytest.mark.parametrize("content", ["", "[]", '{"schema": "br2net-benchmark-9"}'])
def test_something_else_is_no_result(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(InputError, match="is not a benchmark result"):
        read_json(path)


def test_accuracy_that_is_not_defined_is_null(report: Report) -> None:
    rows = tuple(
        row if row.accuracy is None else replace(row, accuracy=replace(row.accuracy, max_f_blurred=math.nan))
        for row in report.rows
    )
    raw = replace(report, rows=rows).to_json()
    check_schema(json.loads(json.dumps(raw, allow_nan=False)))
