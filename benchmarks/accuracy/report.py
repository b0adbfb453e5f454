"""The report of an evaluation: one HTML page that needs nothing else, the figures as JSON, and a CSV of all images."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from br2net.benchmarks.accuracy.contact_sheet import pair_row, sharp_row
from br2net.benchmarks.accuracy.evaluation import Evaluation
from br2net.benchmarks.accuracy.published import PUBLISHED, SETS, SOURCE, Figures, which_set
from br2net.benchmarks.accuracy.sharp_check import RADIUS_SHARE, SharpCheck
from br2net.benchmarks.report.canvas import Canvas, Scale
from br2net.benchmarks.report.page import render
from br2net.datasets import Curves, ImageFigures, Pair, Positive
from br2net.datasets.metrics import Curve
from br2net.files import write_text
from br2net.runtime.backend import Backend

WORST, BEST, WORST_SHARP = 10, 4, 4
CLASS_NAMES = {"blurred": "blurred", "sharp": "in focus"}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460, 320, 52, 14, 14, 46  # of a plot and its margins


@dataclass(frozen=True)
class ReportSubject:
    """Facts for the page beside the figures of the data set.

    Attributes:
        dataset: what the page calls the data set.
        positive: class that the curves count as positive.
        command: shell line that makes this page again.
        sharp: figures of photographs in focus everywhere, where they were checked.
    """

    dataset: str
    positive: Positive = "blurred"
    command: str = ""
    sharp: SharpCheck | None = None


def write_report(
    folder: Path, evaluation: Evaluation, backend: Backend, pairs: Sequence[Pair], subject: ReportSubject
) -> Path:
    """Write `index.html`, `figures.json` and `images.csv` into `folder`; gives the path of the page.

    Args:
        folder: made if missing.
        evaluation: what `evaluate` gave for `backend` and `pairs`.
        backend: computes the maps of the contact sheet once more, so that none had to be kept.
        pairs: photographs and masks.
        subject: further facts for the page.

    Raises:
        InputError: if the folder cannot be written to.
    """
    by_mae = sorted(evaluation.images, key=lambda item: item.mae, reverse=True)
    files = {pair.name: pair for pair in pairs}
    test_set = which_set(pairs)
    summary, sharp = evaluation.summary, subject.sharp
    worst_sharp = [] if sharp is None else sorted(sharp.images, key=lambda item: item.as_it_is.fraction, reverse=True)
    page = render(
        "br2net.benchmarks.accuracy",
        "report.html",
        model=evaluation.model,
        dataset=subject.dataset,
        summary=summary_sentences(evaluation, test_set, sharp),
        setting={
            "model": evaluation.model,
            "input": f"{evaluation.width}×{evaluation.height}",
            "backend": evaluation.backend,
            "device": evaluation.device,
            "precision": evaluation.precision,
            "trained on": backend.metadata.training_data,
        },
        figures=[
            ("MAE", _number(summary.mae), "smaller is better"),
            ("F, blurred", _number(summary.blurred.max_f), "blurred = positive"),
            ("F, sharp", _number(summary.sharp.max_f), "in focus = positive"),
            ("IoU", _number(summary.iou), "blurred, at 0.5"),
            ("AUC", _number(summary.auc), "area under ROC"),
        ],
        positive=CLASS_NAMES[subject.positive],
        plots=_plots(summary.blurred if subject.positive == "blurred" else summary.sharp, by_mae),
        source=SOURCE,
        comparable=test_set is not None,
        sets=SETS if test_set is None else (test_set,),
        comparison=_comparison(evaluation, test_set),
        worst=[pair_row(item, files[item.name], backend) for item in by_mae[:WORST]],
        best=[pair_row(item, files[item.name], backend) for item in by_mae[WORST:][-BEST:][::-1]],
        sharp=sharp,
        sharp_rows=[sharp_row(item, backend) for item in worst_sharp[:WORST_SHARP]],
        radius_share=RADIUS_SHARE,
        command=subject.command,
    )
    write_text(folder / "images.csv", per_image_csv(evaluation.images))
    write_text(folder / "figures.json", json.dumps(evaluation.to_json(), indent=2) + "\n")
    write_text(folder / "index.html", page)
    return folder / "index.html"


def summary_sentences(evaluation: Evaluation, test_set: str | None, sharp: SharpCheck | None) -> str:
    """What the figures say, in two or three sentences of plain text."""
    summary = evaluation.summary
    found = (
        f"finds what is blurred with F {_number(summary.blurred.max_f)} (blurred = positive) and IoU {summary.iou:.3f}"
    )
    text = [
        f"On {summary.images} photographs, {evaluation.model} differs from the masks by {summary.mae:.3f} on average "
        f"(MAE) and {found}."
    ]
    if test_set is not None:
        published = [figures[SETS.index(test_set)].mae for figures in PUBLISHED.values()]
        better = sum(mae < summary.mae for mae in published)
        text.append(
            f"{better or 'None'} of the {len(published)} published methods {'has' if better < 2 else 'have'} "
            "a smaller MAE there."
        )
    if sharp is not None:
        text.append(
            f"Of {len(sharp.images)} photographs in focus everywhere it calls {100 * sharp.as_it_is.fraction:.1f} % of "
            f"the pixels blurred, and {100 * sharp.defocused.fraction:.1f} % once they are defocused."
        )
    return " ".join(text)


def per_image_csv(images: Sequence[ImageFigures]) -> str:
    """Figures of each image as CSV with a heading; empty where a figure is not defined."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(ImageFigures))
    for figures in images:
        writer.writerow(_cell(value) for value in asdict(figures).values())
    return text.getvalue()


def _plots(curves: Curves, by_mae: Sequence[ImageFigures]) -> Mapping[str, str]:
    threshold = np.arange(len(curves.f)) / (len(curves.f) - 1)
    best = curves.best_threshold
    best_f = None if math.isnan(curves.max_f) else (threshold[best], curves.max_f, f"max F {curves.max_f:.3f}")
    share = np.arange(1, len(by_mae) + 1) / len(by_mae)
    errors = np.array([item.mae for item in reversed(by_mae)])
    middle = len(errors) // 2
    median = (share[middle], errors[middle], f"median {np.median(errors):.3f}")
    roc = np.append(curves.false_positive_rate, 0.0), np.append(curves.true_positive_rate, 0.0)
    return {
        "Precision and recall": _line_plot(
            curves.recall, curves.precision, ("recall", "precision"), _lower_end(curves.precision)
        ),
        "F-measure": _line_plot(
            threshold, curves.f, ("threshold", "F, beta² = 0.3"), _lower_end(curves.f), mark=best_f
        ),
        "ROC": _line_plot(*roc, ("false positive rate", "true positive rate")),
        "Images by error": _line_plot(
            share,
            errors,
            ("share of the images", "MAE at most"),
            high=max(float(errors[-1]) * 1.05, 0.01),
            mark=median,
        ),
    }


def _line_plot(
    x_values: Curve,
    y_values: Curve,
    labels: tuple[str, str],
    low: float = 0.0,
    high: float = 1.0,
    mark: tuple[float, float, str] | None = None,
) -> str:
    """Draw one line over an x axis from 0 to 1 and a y axis from `low` to `high`, and one point that has a name."""
    canvas = Canvas(WIDTH, HEIGHT, f"{labels[1]} over {labels[0]}")
    x, y = Scale(0.0, 1.0, LEFT, WIDTH - RIGHT), Scale(low, high, HEIGHT - BOTTOM, TOP)
    canvas.axes(x, y, *labels)
    known = np.isfinite(x_values) & np.isfinite(y_values)
    points = zip(x_values[known], y_values[known], strict=True)
    canvas.curve([(x.at(a), y.at(b)) for a, b in points], "line")
    if mark is not None:
        at = x.at(mark[0]), y.at(mark[1])
        near_right = mark[0] > 0.6
        canvas.circle(at, 4, "mark")
        canvas.text(
            (at[0] - 8 if near_right else at[0] + 8, at[1] + 20),
            mark[2],
            "end" if near_right else "start",
            "mark-label",
        )
    return canvas.svg()


def _lower_end(values: Curve) -> float:
    """Return 0.5 where all values lie above that, so that good models can be compared; 0 otherwise."""
    return 0.5 if values.min() >= 0.5 else 0.0


def _comparison(evaluation: Evaluation, test_set: str | None) -> list[dict[str, Any]]:
    """Return the published figures, and this model's row where the data set is one of theirs; the best row is last."""
    sets = SETS if test_set is None else (test_set,)
    rows = [(method, [figures[SETS.index(name)] for name in sets], False) for method, figures in PUBLISHED.items()]
    if test_set is not None:
        summary = evaluation.summary
        rows.append((evaluation.model, [Figures(summary.mae, summary.blurred.max_f, summary.iou)], True))
    rows.sort(key=lambda row: row[1][0].mae, reverse=True)
    return [
        {"method": method, "own": own, "cells": [_number(value) for item in figures for value in item.row()]}
        for method, figures, own in rows
    ]


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _cell(value: str | float) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.5f}"
    return str(value)
