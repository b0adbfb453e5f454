"""Results as files: JSON of a versioned schema, and every sample as CSV."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from br2net.benchmarks.latency.pipeline import STAGES
from br2net.benchmarks.latency.record import SCHEMA, Report
from br2net.errors import InputError
from br2net.files import write_text


def write_json(path: Path, report: Report) -> None:
    """Write the figures, whole or not at all."""
    write_text(path, json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n")


def samples_csv(report: Report) -> str:
    """Milliseconds of every counted iteration, one line each; what a backend has no clock for is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "round", *(f"{stage}_ms" for stage in STAGES), "end_to_end_ms"])
    for row, series in zip(report.rows, report.series, strict=True):
        for number, samples in enumerate(series.rounds):
            for sample in samples:
                stages = (sample.stages.get(stage) for stage in STAGES)
                cells = ("" if value is None else f"{value:.4f}" for value in (*stages, sample.end_to_end))
                writer.writerow([row.key, number, *cells])
    return text.getvalue()


def read_json(path: Path) -> dict[str, Any]:
    """The figures of an earlier run.

    Raises:
        InputError: if the file is missing, is no such result, or is of another version of the schema.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise InputError(f"{path} is not a benchmark result: it is no JSON.") from error
    found = raw.get("schema") if isinstance(raw, dict) else None
    if found != SCHEMA:
        raise InputError(f"{path} is not a benchmark result of {SCHEMA}" + (f", but of {found}." if found else "."))
    return dict(raw)
