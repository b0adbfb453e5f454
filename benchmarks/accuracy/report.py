"""The report of an evaluation: one HTML page that needs nothing else, the figures as JSON, and a CSV of all images."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from br2net.benchmarks.accuracy.contact_sheet import pair_rows, sharp_rows
from br2net.benchmarks.accuracy.evaluation import Evaluation
from br2net.benchmarks.accuracy.published import PUBLISHED, SETS, SOURCE, Figures, which_set
from br2net.benchmarks.accuracy.sharp_check import RADIUS_SHARE, SharpCheck
from br2net.benchmarks.report.page import style
from br2net.benchmarks.report.plots import Axis, Mark, line_plot
from br2net.datasets.metrics import Curves, ImageFigures, Positive
from br2net.datasets.pairs import Pair
from br2net.files import write_text
from br2net.runtime.backend import Backend

WORST, BEST, WORST_SHARP = 10, 4, 4
CLASS_NAMES = {"blurred": "blurred", "sharp": "in focus"}


@dataclass(frozen=True)
class ReportSubject:
    """What a page tells besides the figures of the data set.

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
        subject: what else the page tells.

    Raises:
        InputError: if the folder cannot be written to.
    """
    by_mae = sorted(evaluation.images, key=lambda item: item.mae, reverse=True)
    files = {pair.name: pair for pair in pairs}
    test_set = which_set(pairs)
    curves = evaluation.summary.blurred if subject.positive == "blurred" else evaluation.summary.sharp
    template = Template(resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
    page = template.substitute(
        style=style(),
        model=escape(evaluation.model),
        dataset=escape(subject.dataset),
        summary=escape(summary_sentences(evaluation, test_set, subject.sharp)),
        facts=_facts(evaluation, backend.metadata.training_data),
        tiles=_tiles(evaluation),
        positive=CLASS_NAMES[subject.positive],
        plots=_plots(curves, by_mae),
        comparison=_comparison(evaluation, test_set),
        source=escape(SOURCE),
        sharp="" if subject.sharp is None else _sharp_section(subject.sharp, backend),
        worst=pair_rows(by_mae[:WORST], files, backend),
        best=pair_rows(by_mae[WORST:][-BEST:][::-1], files, backend) or "<p>The data set has no further images.</p>",
        command=escape(subject.command),
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


def _facts(evaluation: Evaluation, training_data: str) -> str:
    """How the maps were computed, as a definition list's content."""
    facts = {
        "model": evaluation.model,
        "input": f"{evaluation.width}×{evaluation.height}",
        "backend": evaluation.backend,
        "device": evaluation.device,
        "precision": evaluation.precision,
        "trained on": training_data,
    }
    return "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())


def _sharp_section(sharp: SharpCheck, backend: Backend) -> str:
    worst = sorted(sharp.images, key=lambda item: item.as_it_is.fraction, reverse=True)[:WORST_SHARP]
    rows = "".join(
        f"<tr><th>{name}</th><td>{amount.fraction:.3f}</td><td>{amount.mean:.3f}</td><td>{wanted}</td></tr>"
        for name, amount, wanted in (("as they are", sharp.as_it_is, "0"), ("defocused", sharp.defocused, "1"))
    )
    return (
        "<section><h2>Photographs in focus everywhere</h2>"
        f'<p class="quiet">{len(sharp.images)} photographs, as they are and under a disc blur whose radius is '
        f"{100 * RADIUS_SHARE:g} % of the longer side. Those with the most false blur are shown. None of the "
        "photographs should have been used in training.</p>"
        '<table class="small"><thead><tr><th>photographs</th><th>blurred pixels</th><th>mean of the map</th><th>right '
        f"would be</th></tr></thead><tbody>{rows}</tbody></table>"
        '<div class="columns"><span>photograph</span><span>map</span><span>defocused</span><span>map</span></div>'
        f"{sharp_rows(worst, backend)}</section>"
    )


def _tiles(evaluation: Evaluation) -> str:
    summary = evaluation.summary
    tiles = [
        ("MAE", summary.mae, "smaller is better"),
        ("F, blurred", summary.blurred.max_f, "blurred = positive"),
        ("F, sharp", summary.sharp.max_f, "in focus = positive"),
        ("IoU", summary.iou, "blurred, at 0.5"),
        ("AUC", summary.auc, "area under ROC"),
    ]
    return "".join(
        f'<div class="tile"><span>{name}</span><strong>{_number(value)}</strong><small>{note}</small></div>'
        for name, value, note in tiles
    )


def _plots(curves: Curves, by_mae: Sequence[ImageFigures]) -> str:
    threshold = np.arange(len(curves.f)) / (len(curves.f) - 1)
    best = curves.best_threshold
    share = np.arange(1, len(by_mae) + 1) / len(by_mae)
    errors = np.array([item.mae for item in reversed(by_mae)])
    marked = [] if math.isnan(curves.max_f) else [Mark(threshold[best], curves.max_f, f"max F {curves.max_f:.3f}")]
    middle = len(errors) // 2
    precision, f = _upper_half("precision", curves.precision), _upper_half("F, beta² = 0.3", curves.f)
    plots = [
        ("Precision and recall", line_plot(curves.recall, curves.precision, Axis("recall"), precision)),
        ("F-measure", line_plot(threshold, curves.f, Axis("threshold"), f, marked)),
        ("ROC", line_plot(*_roc(curves), Axis("false positive rate"), Axis("true positive rate"))),
        (
            "Images by error",
            line_plot(
                share,
                errors,
                Axis("share of the images"),
                Axis("MAE at most", 0.0, max(float(errors[-1]) * 1.05, 0.01)),
                [Mark(float(share[middle]), float(errors[middle]), f"median {np.median(errors):.3f}")],
            ),
        ),
    ]
    return "".join(f"<figure><figcaption>{title}</figcaption>{plot}</figure>" for title, plot in plots)


def _roc(curves: Curves) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.append(curves.false_positive_rate, 0.0), np.append(curves.true_positive_rate, 0.0)


def _upper_half(label: str, values: NDArray[np.float64]) -> Axis:
    """An axis from 0.5 where all values lie above that, so that good models can be told apart; from 0 otherwise."""
    return Axis(label, 0.5 if values.min() >= 0.5 else 0.0)


def _comparison(evaluation: Evaluation, test_set: str | None) -> str:
    """Table of the published figures, and this model's row where the data set is one of theirs."""
    sets = SETS if test_set is None else (test_set,)
    rows = []
    for method, figures in PUBLISHED.items():
        chosen = [figures[SETS.index(name)] for name in sets]
        cells = "".join(map(_cells, chosen))
        rows.append((chosen[0].mae, f'<tr><th>{escape(method)}</th><td class="origin">published</td>{cells}</tr>'))
    note = "<p>This data set is none of those that these figures were published for, so they are not comparable.</p>"
    if test_set is not None:
        summary = evaluation.summary
        own = Figures(summary.mae, summary.blurred.max_f, summary.iou)
        origin = '<td class="origin">measured here</td>'
        rows.append((own.mae, f'<tr class="own"><th>{escape(evaluation.model)}</th>{origin}{_cells(own)}</tr>'))
        note = ""
    names = "".join(f'<th colspan="3">{name}</th>' for name in sets)
    figures_heading = "<th>MAE</th><th>F, blurred</th><th>IoU</th>" * len(sets)
    head = (
        f'<thead><tr><th></th><th></th>{names}</tr><tr><th>method</th><th class="origin">figures</th>{figures_heading}'
        "</tr></thead>"
    )
    body = "".join(row for _, row in sorted(rows, reverse=True))  # the best, with the smallest MAE, last
    return f"{note}<table>{head}<tbody>{body}</tbody></table>"


def _cells(figures: Figures) -> str:
    return "".join(f"<td>{_number(value)}</td>" for value in figures.row())


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _cell(value: str | float) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.5f}"
    return str(value)
