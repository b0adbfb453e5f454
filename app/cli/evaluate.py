"""`br2net evaluate`: accuracy of a model on photographs with masks."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from br2net.cli.options import (
    BackendOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    PrecisionOption,
    SizeOption,
    check_report,
    parse_size,
)

if TYPE_CHECKING:
    from rich.table import Table

    from br2net.benchmarks.accuracy import Evaluation, SharpCheck


def evaluate(
    dataset: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET",
            help="Folder with images/ and masks/, or as Shi's, DUT's and CTCUG's authors lay theirs out.",
        ),
    ],
    model: ModelOption = "mobile",
    split: Annotated[Path | None, typer.Option(metavar="FILE", help="Take only these: one stem per line.")] = None,
    invert_masks: Annotated[bool, typer.Option("--invert-masks", help="White is in focus in the masks.")] = False,
    unknown: Annotated[
        int | None,
        typer.Option(
            min=0, max=255, help="Mask value that means not known, for example 128; such pixels do not count."
        ),
    ] = None,
    positive: Annotated[
        str,
        typer.Option(
            metavar="blurred|sharp", help="Positive class of the report's curves; the figures are given for both."
        ),
    ] = "blurred",
    all_sharp: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Photographs in focus everywhere: also measure the blur found in them, and defocused."
        ),
    ] = None,
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    size: SizeOption = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write a page with curves, a comparison with published figures and the worst and best images.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a model's accuracy: MAE, F-measure with either class as positive, AUC and IoU.

    The published figures beside it are those of the data set in question, where there are any.
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from br2net.benchmarks.accuracy import ReportSubject, check_sharp, write_report
    from br2net.benchmarks.accuracy import evaluate as run
    from br2net.benchmarks.accuracy.published import which_set
    from br2net.datasets import find_pairs
    from br2net.errors import InputError
    from br2net.runtime.backend import InferenceOptions
    from br2net.runtime.backends import open_backend
    from br2net.runtime.images import list_images
    from br2net.zoo import find_model

    positive_class = _positive(positive)
    check_report(report)
    pairs = find_pairs(dataset, split, invert_masks, unknown)
    if all_sharp is not None and not all_sharp.is_dir():
        raise InputError(f"There is no folder {all_sharp}.")
    sharp_paths = [] if all_sharp is None else list_images([all_sharp])
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    sharp = None
    page = None
    with open_backend(find_model(model), backend, InferenceOptions(device, precision, parse_size(size))) as engine:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("evaluating", total=len(pairs) + len(sharp_paths))
            evaluation = run(engine, pairs, lambda _: bar.advance(task))
            if sharp_paths:
                sharp = check_sharp(engine, sharp_paths, lambda _: bar.advance(task))
        if report is not None:
            name = dataset.resolve().name + ("" if split is None else f", {split.stem}")
            subject = ReportSubject(name, positive_class, shlex.join(["br2net", *sys.argv[1:]]), sharp)
            page = write_report(report, evaluation, engine, pairs, subject)
    if as_json:
        typer.echo(json.dumps({**evaluation.to_json(), **_sharp_facts(sharp)}))
        return
    Console().print(_table(evaluation, which_set(pairs)))
    if sharp is not None:
        shares = f"{sharp.as_it_is.fraction:.3f} as they are, {sharp.defocused.fraction:.3f} defocused"
        typer.echo(f"Blurred fraction of {len(sharp.images)} photographs in focus everywhere: {shares}.")
    if page is not None:
        typer.echo(f"The report is {page}.")


def _positive(text: str) -> Literal["blurred", "sharp"]:
    from br2net.errors import InputError

    if text == "blurred":
        return "blurred"
    if text == "sharp":
        return "sharp"
    raise InputError(f"--positive is blurred or sharp, not {text}.")


def _sharp_facts(sharp: "SharpCheck | None") -> dict[str, float]:
    if sharp is None:
        return {}
    return {
        "sharp_images": len(sharp.images),
        "sharp_blurred_fraction": round(sharp.as_it_is.fraction, 4),
        "defocused_blurred_fraction": round(sharp.defocused.fraction, 4),
    }


def _table(evaluation: "Evaluation", test_set: str | None) -> "Table":
    """The model's figures, below those that others have published for the same data set."""
    from rich import box
    from rich.table import Table

    from br2net.benchmarks.accuracy.published import PUBLISHED, SETS, SOURCE

    summary = evaluation.summary
    setting = (
        f"{evaluation.width}x{evaluation.height}, {evaluation.backend} on {evaluation.device}, {evaluation.precision}"
    )
    table = Table(
        title=f"{evaluation.model} on {summary.images} photographs ({setting})",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        caption_justify="left",
    )
    table.add_column("method")
    for heading in ("MAE", "F (blurred)", "F (sharp)", "IoU", "AUC"):
        table.add_column(heading, justify="right", no_wrap=True)
    if test_set is not None:
        table.caption = f"* published for {test_set} by {SOURCE}; not measured here."
        for method, figures in PUBLISHED.items():
            mae, f_blurred, iou = (f"{value:.3f}" for value in figures[SETS.index(test_set)].row())
            table.add_row(f"{method} *", mae, f_blurred, "", iou, "", style="dim")
    values = (summary.mae, summary.blurred.max_f, summary.sharp.max_f, summary.iou, summary.auc)
    cells = ("–" if value != value else f"{value:.4f}" for value in values)  # NaN: not defined on this data set
    table.add_row(evaluation.model, *cells, style="bold")
    return table
