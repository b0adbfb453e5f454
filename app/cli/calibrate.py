"""`br2net calibrate`: from a float32 model and photographs to an INT8 model that passed the accuracy gate."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from br2net.cli.options import JsonOption, check_report

if TYPE_CHECKING:
    from rich.table import Table

    from br2net.calibration import CalibrationOptions, GateResult, Gathered, Outcome
    from br2net.calibration.gate import Accuracy


def calibrate(
    model: Annotated[
        str, typer.Argument(metavar="[MODEL]", help="A float32 ONNX file, or a shipped model.")
    ] = "mobile",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="INT8 ONNX file; a folder with --collect.")
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option("--images", metavar="SOURCE", help="Folder, data set, video, camera or address; may be repeated."),
    ] = None,
    split: Annotated[Path | None, typer.Option(metavar="FILE", help="Take only these images: one stem a line.")] = None,
    size: Annotated[int, typer.Option(metavar="N", help="Calibrate on at most so many frames.")] = 512,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    manifest: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take the set of this manifest again, out of --images.")
    ] = None,
    gate: Annotated[
        Path | None,
        typer.Option(metavar="DATASET", help="Images with masks for the gate; otherwise a fifth is held out."),
    ] = None,
    gate_split: Annotated[Path | None, typer.Option(metavar="FILE", help="Take only these of --gate.")] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Layers to leave in float32: a kind as depthwise, a block, a label, or none; may be repeated. If not "
            "said: gate and map, those behind the CAM's pools and those that give a pathway's logits.",
        ),
    ] = None,
    remainder: Annotated[
        str, typer.Option(metavar="fp32|fp16", help="What everything else computes in; fp16 suits a GPU.")
    ] = "fp32",
    auto: Annotated[
        bool, typer.Option("--auto", help="Leave the worst layers in float32 until the gate holds.")
    ] = False,
    bias_correction: Annotated[bool, typer.Option(help="Take back the mean shift of rounding.")] = True,
    max_difference: Annotated[float, typer.Option(help="Gate: largest mean difference of the maps.")] = 0.01,
    max_mae: Annotated[float, typer.Option(help="Gate: MAE may grow by so much.")] = 0.003,
    accept_drift: Annotated[
        bool, typer.Option("--accept-drift", help="Write the file even though the gate does not hold.")
    ] = False,
    sensitivity: Annotated[
        str | None, typer.Option(metavar="layer|block", help="Measure which layers hurt, whatever the gate says.")
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="DIR", help="Write a page with tables and plots.")] = None,
    collect: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Only gather a calibration set from a source into -o DIR.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the INT8 form of a model from photographs, and compare it with float32 before it appears.

    The gate compares the maps on images outside of the calibration set; beyond its limits nothing is written (exit 3).
    FILE.calibration.json beside the file says what it was calibrated on.
    """
    from br2net.errors import InputError

    if output is None:
        raise InputError("Say where to write: -o x-int8.onnx, or -o DIR with --collect.")
    if collect is not None:
        _collect(model, collect, output, size, seed, as_json)
        return
    from br2net.calibration import CalibrationOptions, GateLimits, Outcome, SetRequest, gather
    from br2net.calibration import calibrate as run
    from br2net.errors import GateError
    from br2net.zoo import find_model

    if output.suffix != ".onnx":
        raise InputError(f"{output} must end in .onnx.")
    if sensitivity not in (None, "layer", "block"):
        raise InputError(f"--sensitivity is layer or block, not {sensitivity}.")
    check_report(report)
    options = CalibrationOptions(
        keep=_kept(keep),
        correct_bias=bias_correction,
        remainder=remainder,  # type: ignore[arg-type]  # checked there
        limits=GateLimits(max_difference, max_mae),
        accept_drift=accept_drift,
        auto=auto,
        sensitivity=sensitivity,  # type: ignore[arg-type]  # checked above
    )
    request = SetRequest(tuple(images or ()), split, size, seed, gate, gate_split, manifest)
    path = find_model(model)
    with _Progress() as progress:
        progress.say("gathering the calibration set")
        gathered = gather(path, request)
        frames = [item.frame for item in gathered.chosen.frames]
        try:
            outcome = run(path, output, frames, gathered.manifest, gathered.gate, options, progress.say)
        except GateError as refusal:
            assert isinstance(refusal.result, Outcome)
            _show(refusal.result, gathered, options, output, report, as_json, written=False)
            raise
    _show(outcome, gathered, options, output, report, as_json, written=True)


def _kept(keep: list[str] | None) -> tuple[str, ...]:
    from br2net.calibration.pipeline import DEFAULT_KEEP

    return tuple(item for item in keep if item != "none") if keep else DEFAULT_KEEP


def _collect(model: str, source: str, folder: Path, size: int, seed: int, as_json: bool) -> None:
    from br2net.calibration import SetRequest, collect
    from br2net.zoo import find_model

    with _Progress() as progress:
        progress.say(f"looking at {source}")
        chosen = collect(find_model(model), SetRequest((source,), size=size, seed=seed), folder)
    if as_json:
        facts = {"folder": str(folder), "frames": len(chosen.frames), "seen": chosen.seen, "left_out": chosen.left_out}
        typer.echo(json.dumps(facts))
    else:
        typer.echo(f"{folder}: {chosen.summary()}.")


def _show(
    outcome: "Outcome",
    gathered: "Gathered",
    options: "CalibrationOptions",
    output: Path,
    report: Path | None,
    as_json: bool,
    written: bool,
) -> None:
    from br2net.calibration.report import figures, write_report
    from br2net.calibration.sensitivity import worst

    if report is not None:
        command = shlex.join(["br2net", *sys.argv[1:]])
        write_report(report, outcome, gathered.chosen, gathered.manifest, written, command)
    if as_json:
        frames = {"frames": len(gathered.chosen.frames), "left_out": gathered.chosen.left_out}
        where = {"output": str(output) if written else None, "report": str(report) if report else None}
        typer.echo(json.dumps(figures(outcome, written) | frames | where))
        return
    from rich.console import Console

    Console().print(_table(outcome))
    typer.echo(f"Calibrated on {gathered.chosen.summary()}.")
    if outcome.reused:
        typer.echo("Reused the calibration of an earlier run.")
    if outcome.sensitivity:
        typer.echo(f"Most noise comes from {', '.join(item.group.name for item in worst(outcome.sensitivity, 3))}.")
    if report is not None:
        typer.echo(f"{report / 'index.html'}: the report.")
    if written:
        share = outcome.int8_bytes / outcome.float32_bytes
        typer.echo(
            f"{output}: {outcome.metadata.name}, {100 * outcome.int8_macs:.0f} % of the "
            f"multiply-accumulates INT8, {outcome.int8_bytes / 1e6:.2f} MB ({share:.2f} of float32's)."
        )
        if outcome.broken:
            typer.echo(f"The gate does not hold, and --accept-drift was given: {' and '.join(outcome.broken)}.")


def _table(outcome: "Outcome") -> "Table":
    from rich import box
    from rich.table import Table

    images = outcome.gate.images
    table = Table(
        title=f"Gate, {images} images outside the set",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("", no_wrap=True)
    for heading in ("drift", "worst", "SQNR", "MAE", "F (blurred)", "F (sharp)"):
        table.add_column(heading, justify="right", no_wrap=True)
    if outcome.gate.float32 is not None:
        table.add_row("float32", "", "", "", *_accuracy_cells(outcome.gate.float32))
    rows: list[tuple[str, GateResult]] = [("INT8", outcome.all_int8)]
    if outcome.gate != outcome.all_int8:
        rows.append(("the file", outcome.gate))
    if outcome.openvino is not None:
        rows.append(("by OpenVINO", outcome.openvino))
    for name, result in rows:
        drift = (f"{result.difference:.4f}", f"{result.worst_difference:.4f}", f"{result.sqnr_db:.1f}")
        table.add_row(name, *drift, *(_accuracy_cells(result.int8) if result.int8 else ()))
    table.caption = "drift: mean difference of the maps from float32's; worst: that of the image that differs most"
    return table


def _accuracy_cells(accuracy: "Accuracy") -> tuple[str, str, str]:
    return f"{accuracy.mae:.4f}", f"{accuracy.f_blurred:.4f}", f"{accuracy.f_sharp:.4f}"


class _Progress:
    """One line on stderr that says what is being done, where stderr is a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._status = self._console.status("starting")

    def __enter__(self) -> "_Progress":
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def say(self, text: str) -> None:
        """Show what is being done."""
        self._status.update(text)
