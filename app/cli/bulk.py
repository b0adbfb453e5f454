"""`br2net bulk`: many images into Parquet, here or on Ray."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from br2net.cli.options import (
    BackendOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    PrecisionOption,
    SizeOption,
    parse_size,
)


def bulk(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT…", help="Folders, patterns, images, videos, Parquet files; paths or fsspec URLs."
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FOLDER", help="Folder for the Parquet; path or URL.")
    ],
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Ray: 'local' starts it here; 'auto', host:6379 or ray://host:10001 is there."
        ),
    ] = None,
    model: ModelOption = "mobile",
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    size: SizeOption = None,
    threads: Annotated[int, typer.Option(help="CPU threads; of each worker with --ray (0: one), else 0 is all.")] = 0,
    workers: Annotated[int, typer.Option(help="With --ray, so many at most; 0 is as many as fit.")] = 0,
    gpus: Annotated[float, typer.Option(help="With --ray, the share of a GPU that each worker takes.")] = 0.0,
    grid: Annotated[int, typer.Option(help="Cells per side of the grid of sharpness.")] = 8,
    maps: Annotated[bool, typer.Option("--maps", help="Write the blur maps as well, as PNG.")] = False,
    every: Annotated[float, typer.Option(metavar="SECONDS", help="Of a video, one frame in so long; 0: each.")] = 1.0,
    column: Annotated[str | None, typer.Option(help="Of a Parquet input, the column of bytes or paths.")] = None,
    retry_errors: Annotated[bool, typer.Option("--retry-errors", help="Do again what ended in an error.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Score many images: one row each, with blurred fraction and a grid of sharpness, in Parquet files.

    A broken image is a row with an error. Run it again to go on where it stopped: what is done is not done again.
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    from br2net.bulk import BulkOptions, ClusterOptions, ModelChoice, run_bulk
    from br2net.errors import InputError

    if ray is None and (workers or gpus):
        raise InputError("--workers and --gpus are for --ray.")
    choice = ModelChoice(model, backend, device, precision, parse_size(size), threads)
    options = BulkOptions(grid, maps, every, column, retry_errors)
    cluster = None if ray is None else ClusterOptions(ray, workers, gpus)
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("scoring", total=None)
        summary = run_bulk(
            inputs, output, choice, options, cluster, lambda done, total: bar.update(task, completed=done, total=total)
        )
    if as_json:
        typer.echo(json.dumps(asdict(summary)))
        return
    rate = summary.images / summary.seconds
    before = f" {summary.done_before} were done before." if summary.done_before else ""
    failed = f", {summary.errors} of them with an error" if summary.errors else ""
    typer.echo(f"{output}: {summary.images} rows{failed}, in {summary.seconds:.1f} s ({rate:.1f} a second).{before}")
