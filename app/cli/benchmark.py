"""`br2net benchmark`: runtime per image, against the paper's configuration and the device's limit."""

import json
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from br2net.cli.options import DeviceOption, JsonOption, check_report, parse_size

WIDTH = 128  # of the table: a file or a pipe has no width of its own

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from br2net.benchmarks.latency.compare import Comparison
    from br2net.benchmarks.latency.record import Report
    from br2net.benchmarks.latency.run import Plan
    from br2net.datasets.pairs import Pair


def benchmark(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="ONNX files, engines, checkpoints, shipped models; or a network by name with random weights: paper, "
            "resnext50, vgg16.",
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a page, the figures as JSON, and all samples as CSV.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="BASELINE CANDIDATE", help="Compare two results instead of measuring; exit 3 if a row is slower."
        ),
    ] = None,
    backend: Annotated[
        str, typer.Option(help="all that work here, or openvino, onnxruntime, torch, tensorrt.")
    ] = "all",
    precision: Annotated[str, typer.Option(help="all, auto, fp32, bf16 or fp16.")] = "all",
    device: DeviceOption = "auto",
    forms: Annotated[
        str, typer.Option(metavar="LIST", help="plain, restructured or both: export these from a model's weights.")
    ] = "",
    size: Annotated[
        str,
        typer.Option(
            metavar="WxH,…",
            help="Input size, or own for each model's own; of several, the first is measured, the others swept.",
        ),
    ] = "own",
    batch: Annotated[str, typer.Option(metavar="N,…", help="Batch size, likewise.")] = "1",
    streams: Annotated[
        str, typer.Option(metavar="N,…", help="Numbers of pipelines at once to measure throughput with.")
    ] = "1,2",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 for all.")] = 0,
    frame: Annotated[str, typer.Option(metavar="WxH", help="Size of the photograph that is given.")] = "1280x720",
    iterations: Annotated[int, typer.Option(help="At least so many for each row.")] = 30,
    seconds: Annotated[float, typer.Option(help="And at least so long.")] = 5.0,
    warm_up: Annotated[int, typer.Option(help="Runs before that do not count.")] = 3,
    no_baseline: Annotated[
        bool, typer.Option("--no-baseline", help="Do not time the paper's configuration (PyTorch eager, FP32, plain).")
    ] = False,
    times_only: Annotated[
        bool, typer.Option("--times-only", help="Leave out the machine's peaks, memory, energy and single layers.")
    ] = False,
    dataset: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photographs with masks: put the accuracy beside the speed.")
    ] = None,
    split: Annotated[Path | None, typer.Option(metavar="FILE", help="Take only these: one stem per line.")] = None,
    invert_masks: Annotated[bool, typer.Option("--invert-masks", help="White is in focus in the masks.")] = False,
    estimate: Annotated[
        str,
        typer.Option(
            metavar="NAME,…",
            help="Roofline estimates for devices that are not here: orin-nano, orin-nx, agx-orin, thor, rtx-4060, ….",
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Measure the runtime per image: warm-up, interleaved runs, percentiles, stage by stage.

    The paper's configuration is timed in the same run and is what the ratios refer to. Ctrl-C keeps what there is.
    """
    from br2net.benchmarks.latency.page import write_report
    from br2net.benchmarks.latency.run import Plan, run_benchmark
    from br2net.benchmarks.latency.timing import Method
    from br2net.errors import InputError

    if compare is not None:
        if files:
            raise InputError("--compare takes two results and no models.")
        _compare(*compare, as_json)
        return
    if not files:
        raise InputError("Name a model to measure, as `br2net benchmark mobile`, or two results with --compare.")
    check_report(report)
    if dataset is None and (split is not None or invert_masks):
        raise InputError("--split and --invert-masks are about the photographs of --dataset; name that too.")
    frame_size = parse_size(frame)
    assert frame_size is not None
    plan = Plan(
        subjects=tuple((name, _path(name)) for name in files),
        forms=tuple(_list(forms)),
        backend=backend,
        precision=precision,
        device=device,
        sizes=tuple(None if item == "own" else parse_size(item) for item in _list(size)),
        batches=_numbers("--batch", batch),
        streams=_numbers("--streams", streams),
        threads=threads,
        frame=frame_size,
        method=Method(warm_up, iterations, seconds),
        baseline=not no_baseline,
        details=not times_only,
        pairs=_pairs(dataset, split, invert_masks),
        dataset="" if dataset is None else dataset.resolve().name + ("" if split is None else f", {split.stem}"),
        devices=tuple(_list(estimate)),
        command=shlex.join(["br2net", *sys.argv[1:]]),
    )

    def keep(partial: "Report") -> None:
        if report is not None:
            write_report(report, partial)

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends this, what there is is kept
    try:
        result = _run(plan, keep) if sys.stderr.isatty() else run_benchmark(plan, keep=keep)
    finally:
        signal.signal(signal.SIGTERM, before)
    page = None if report is None else write_report(report, result)
    if as_json:
        typer.echo(json.dumps(result.to_json(), ensure_ascii=False))
    else:
        _print(result, page)
    if result.interrupted:
        raise typer.Exit(130)
    missing = [name for name in files if not any(row.setting.name == name for row in result.rows)]
    if missing:
        reasons = [item.reason for item in result.failures if item.what.startswith(f"{missing[0]} ")]
        raise InputError(f"{missing[0]} was not measured: {(reasons or ['no backend here reads it.'])[0]}")


def _run(plan: "Plan", keep: "Callable[[Report], None]") -> "Report":
    """Measure, telling on the terminal what is being done."""
    from rich.console import Console

    from br2net.benchmarks.latency.run import run_benchmark

    with Console(stderr=True).status("starting") as status:
        return run_benchmark(plan, status.update, keep)


def _path(name: str) -> Path | None:
    """The file that a word on the command line means; None for a network by name."""
    from br2net.benchmarks.latency.contestants import NETWORKS
    from br2net.zoo import find_model, shipped_models

    if name in NETWORKS and name not in shipped_models() and not Path(name).exists():
        return None
    return find_model(name)


def _pairs(dataset: Path | None, split: Path | None, invert_masks: bool) -> "tuple[Pair, ...]":
    from br2net.datasets.pairs import find_pairs

    return () if dataset is None else tuple(find_pairs(dataset, split, invert_masks))


def _list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _numbers(option: str, text: str) -> tuple[int, ...]:
    from br2net.errors import InputError

    try:
        return tuple(int(item) for item in _list(text))
    except ValueError:
        raise InputError(f"{option} takes whole numbers with commas between, as 1,4; not {text!r}.") from None


def _compare(baseline: Path, candidate: Path, as_json: bool) -> None:
    from br2net.benchmarks.latency.compare import compare
    from br2net.errors import GateError

    found = compare(baseline, candidate)
    if as_json:
        changes = [
            {
                "key": item.key,
                "old_ms": item.baseline_ms,
                "new_ms": item.candidate_ms,
                "ratio": item.ratio,
                "noise": item.noise,
                "verdict": item.verdict,
            }
            for item in found.changes
        ]
        typer.echo(json.dumps({"changes": changes, "gone": found.gone, "new": found.fresh, "drift": found.drift}))
    else:
        _print_comparison(found)
    if found.slower:
        worst = max(found.slower, key=lambda item: item.ratio)
        raise GateError(
            f"{len(found.slower)} of {len(found.changes)} rows became slower beyond noise, {worst.key} by "
            f"{100 * (worst.ratio - 1):.1f} %."
        )


def _print_comparison(found: "Comparison") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("row", "baseline ms", "candidate ms", "change", "noise", "verdict")
    for item in found.changes:
        change = f"{100 * (item.ratio - 1):+.1f} %"
        cells = (
            f"{item.baseline_ms:.2f}",
            f"{item.candidate_ms:.2f}",
            change,
            f"±{100 * item.noise:.1f} %",
            item.verdict,
        )
        table.add_row(item.key, *cells)
    Console().print(table)
    if found.drift is not None:
        typer.echo(
            f"Changes are relative to the paper's configuration, which itself took {found.drift:.3f} times as long."
        )
    for word, keys in (("Only in the baseline", found.gone), ("Only in the candidate", found.fresh)):
        if keys:
            typer.echo(f"{word}: {', '.join(keys)}.")


def _print(result: "Report", page: Path | None) -> None:
    from rich.console import Console

    Console(width=max(Console().width, WIDTH)).print(_table(result))
    for row in result.rows:
        for text in row.times.warnings:
            typer.echo(f"{row.setting.label}: {text}")
    for text in (*result.warnings(), *result.notes, *(f"{item.what}: {item.reason}" for item in result.failures)):
        typer.echo(text)
    for item in result.estimates:
        here = "" if item.as_here_ms is None else f", {item.as_here_ms:.2f} ms if it is used as well as this machine"
        typer.echo(
            f"Estimate, not measured: {item.network} {item.form} {item.precision} on {item.device}: "
            f"{item.at_best_ms:.2f} ms at best{here}."
        )
    for check in result.validations:
        typer.echo(
            f"The same estimate for this machine, {check.row}: {check.estimated_ms:.1f} ms; measured "
            f"{check.measured_ms:.1f} ms ({100 * check.error:+.0f} %)."
        )
    if page is not None:
        typer.echo(f"The report is {page}.")


def _table(result: "Report") -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(title=f"Milliseconds per image on {result.environment.title()}", title_justify="left", box=box.SIMPLE)
    table.add_column("model", no_wrap=True)
    for heading in ("input", "median", "p90", "p99", "CV", "× paper", "× eager", "of limit", "MAE"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in result.rows:
        setting, times, share = row.setting, row.times, row.share_of_limit()
        ends, ratios = times.end_to_end, (times.faster_than_paper, times.faster_than_eager)
        table.add_row(
            setting.label,
            f"{setting.width}x{setting.height}" + (f", {setting.batch}" if setting.batch > 1 else ""),
            f"{row.per_image_ms:.2f}",
            *("–" if value is None else f"{value / setting.batch:.2f}" for value in (ends.p90, ends.p99)),
            "–" if ends.cv is None else f"{100 * ends.cv:.1f} %",
            *("–" if item is None else f"{item.median:.1f}" for item in ratios),
            "–" if share is None else f"{100 * share:.0f} %",
            "–" if row.accuracy is None else f"{row.accuracy.mae:.4f}",
            style="bold" if setting.role == "model" else "dim",
        )
    return table
