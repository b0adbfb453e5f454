"""The report of a calibration: one HTML page that needs nothing else, the figures as JSON, and a CSV of all layers."""

import csv
import io
import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from br2net.benchmarks.accuracy.contact_sheet import difference_picture, picture_row
from br2net.benchmarks.report.page import style
from br2net.benchmarks.report.plots import Axis
from br2net.calibration.gate import GateResult
from br2net.calibration.manifest import Manifest
from br2net.calibration.pipeline import Outcome, Sample
from br2net.calibration.plots import Bar, bar_plot
from br2net.calibration.selection import BLUR_BINS, BRIGHTNESS_BINS, CalibrationSet
from br2net.calibration.sensitivity import Sensitivity, worst
from br2net.files import write_text
from br2net.runtime.postprocessing import to_grey

LABELLED = 4
LAYER_HEADINGS = ("layer", "kind", "precision", "macs", "alone_mae", "alone_sqnr_db", "kept_mae", "kept_sqnr_db")


def write_report(
    folder: Path, outcome: Outcome, chosen: CalibrationSet, manifest: Manifest, written: bool, command: str
) -> Path:
    """Write `index.html`, `figures.json` and, where sensitivity was measured, `layers.csv`; gives the page's path.

    Args:
        folder: made if missing.
        outcome: of the calibration, also of one that was refused.
        chosen: the calibration set.
        manifest: of it.
        written: whether the INT8 file was written.
        command: shell line that makes this page again.

    Raises:
        InputError: if the folder cannot be written to.
    """
    template = Template(resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
    page = template.substitute(
        style=style(),
        model=escape(outcome.metadata.name.removesuffix("-int8")),
        summary=escape(summary_sentences(outcome, written)),
        facts=_facts(outcome, len(manifest.frames)),
        tiles=_tiles(outcome, written),
        images=outcome.gate.images,
        limits=f"The gate asks for a drift of {outcome.limits.difference:g} at most"
        + (f", and for an MAE that grows by {outcome.limits.mae:g} at most." if outcome.gate.masks else "."),
        gate=_gate_table(outcome),
        sensitivity=_sensitivity_section(outcome),
        samples="".join(map(_sample_row, outcome.samples)),
        set=escape(f"Calibrated on {chosen.summary()}."),
        spread=_spread_table(manifest),
        command=escape(command),
    )
    if outcome.sensitivity:
        write_text(folder / "layers.csv", layers_csv(outcome.sensitivity))
    write_text(folder / "figures.json", json.dumps(figures(outcome, written), indent=2) + "\n")
    write_text(folder / "index.html", page)
    return folder / "index.html"


def figures(outcome: Outcome, written: bool) -> dict[str, Any]:
    """What was measured, as `--json` prints it and `figures.json` holds it."""
    return {
        "model": outcome.metadata.name,
        "written": written,
        "method": outcome.method,
        "methods": {name: result.to_json() for name, result in outcome.methods.items()},
        "gate": outcome.gate.to_json(),
        "openvino": outcome.openvino.to_json() if outcome.openvino else None,
        "broken": list(outcome.broken),
        "kept": list(outcome.kept),
        "int8_macs": round(outcome.int8_macs, 4),
        "float32_bytes": outcome.float32_bytes,
        "int8_bytes": outcome.int8_bytes if written else None,
        "reused": list(outcome.reused),
        "sensitivity": [dict(zip(LAYER_HEADINGS, _layer_row(item), strict=True)) for item in outcome.sensitivity],
    }


def layers_csv(sensitivity: Sequence[Sensitivity]) -> str:
    """Sensitivity of each layer or block as CSV with a heading, in the order of the graph."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(LAYER_HEADINGS)
    writer.writerows(map(_layer_row, sensitivity))
    return text.getvalue()


def summary_sentences(outcome: Outcome, written: bool) -> str:
    """What came of it, in two or three sentences of plain text."""
    gate = outcome.gate
    text = [
        f"With {100 * outcome.int8_macs:.0f} % of its multiply-accumulates in INT8 (method {outcome.method}), the maps "
        f"differ from float32's by {gate.difference:.4f} on average over {gate.images} images outside the calibration "
        "set."
    ]
    if gate.int8 and gate.float32:
        text.append(f"Against masks MAE goes from {gate.float32.mae:.4f} to {gate.int8.mae:.4f}.")
    if outcome.broken:
        text.append(f"The gate does not hold: {' and '.join(outcome.broken)}.")
    if not written:
        text.append("The file was not written.")
    return " ".join(text)


def _facts(outcome: Outcome, frames: int) -> str:
    facts = {
        "method": outcome.method,
        "layers": f"{len(outcome.layers) - len(outcome.kept)} INT8, {len(outcome.kept)} kept",
        "calibrated on": f"{frames} photographs",
        "input": f"{outcome.metadata.width}×{outcome.metadata.height}",
    }
    return "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())


def _tiles(outcome: Outcome, written: bool) -> str:
    gate = outcome.gate
    tiles = [("drift", f"{gate.difference:.4f}", f"{outcome.limits.difference:g} allowed")]
    if gate.mae_change is not None and gate.f_change is not None:
        tiles.append(("MAE", _signed(gate.mae_change), f"{outcome.limits.mae:g} allowed"))
        tiles.append(("F, blurred", _signed(gate.f_change), "change"))
    tiles.append(("INT8", f"{100 * outcome.int8_macs:.0f} %", "of multiply-accumulates"))
    if written:
        share = outcome.int8_bytes / outcome.float32_bytes
        tiles.append(("file", f"{outcome.int8_bytes / 1e6:.2f} MB", f"{share:.2f} of float32's"))
    return "".join(
        f'<div class="tile"><span>{name}</span><strong>{value}</strong><small>{note}</small></div>'
        for name, value, note in tiles
    )


def _signed(value: float) -> str:
    return f"{round(value, 4) + 0.0:+.4f}"  # no negative zero


def _gate_table(outcome: Outcome) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("", "drift", "worst", "SQNR", "MAE", "F, blurred", "F, sharp"))
    rows = []
    if outcome.gate.float32 is not None:
        accuracy = outcome.gate.float32
        cells = "".join(f"<td>{value:.4f}</td>" for value in (accuracy.mae, accuracy.f_blurred, accuracy.f_sharp))
        rows.append(f"<tr><th>float32</th><td></td><td></td><td></td>{cells}</tr>")
    rows += [_gate_row(f"all INT8 layers by {name}", result) for name, result in outcome.methods.items()]
    rows.append(_gate_row("the file, by ONNX Runtime", outcome.gate, "own"))
    if outcome.openvino is not None:
        rows.append(_gate_row("the file, by OpenVINO on this CPU", outcome.openvino, "own"))
    return f'<table class="small"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _gate_row(name: str, result: GateResult, kind: str = "") -> str:
    cells = [f"{result.difference:.4f}", f"{result.worst_difference:.4f}", f"{result.sqnr_db:.1f} dB"]
    if result.int8 is not None:
        cells += [f"{value:.4f}" for value in (result.int8.mae, result.int8.f_blurred, result.int8.f_sharp)]
    return f'<tr class="{kind}"><th>{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _sensitivity_section(outcome: Outcome) -> str:
    if not outcome.sensitivity:
        return "<h2>Layers</h2><p>Which layers hurt was not measured; <code>--sensitivity layer</code> does that.</p>"
    items = outcome.sensitivity
    by = "block" if items[0].group.kind == "block" else "layer"
    labelled = {id(item) for item in sorted(items, key=lambda item: item.alone.mae, reverse=True)[:LABELLED]}
    gainers = {id(item) for item in sorted(items, key=lambda item: item.gain_db, reverse=True)[:LABELLED]}
    alone = [_bar(item, item.alone.mae, id(item) in labelled) for item in items]
    gain = [_bar(item, max(item.gain_db, 0.0), id(item) in gainers) for item in items]
    most, best = (max(bar.value for bar in bars) for bars in (alone, gain))
    plots = (
        (f"Drift when only this {by} is INT8", bar_plot(alone, Axis("map difference", 0.0, max(1.1 * most, 1e-6)))),
        (
            f"What keeping this {by} in float32 too would gain",
            bar_plot(gain, Axis("SQNR gained, dB", 0.0, max(1.1 * best, 0.1))),
        ),
    )
    shown = "".join(f"<figure><figcaption>{title}</figcaption>{plot}</figure>" for title, plot in plots)
    names = ", ".join(item.group.name for item in worst(items, 3))
    return (
        f'<h2>Which {by}s hurt</h2><p class="quiet">In the order of the graph, on images of the calibration set. Blue: '
        f"INT8 in the file; grey: float32 there, as chosen before or by <code>--auto</code>. As it is, SQNR is "
        f"{items[0].as_it_is.sqnr_db:.1f} dB. Most noise comes from {escape(names)}.</p>"
        f'<div class="wide">{shown}</div>{_layer_table(items, by)}'
    )


def _bar(item: Sensitivity, value: float, labelled: bool) -> Bar:
    name = item.group.name
    label = name.removeprefix("backbone.features.") if labelled else ""
    return Bar(name, name.split(".")[0], value, item.stays, label)


def _layer_table(items: Sequence[Sensitivity], by: str) -> str:
    head = "".join(
        f"<th>{name}</th>"
        for name in (by, "kind", "in the file", "MMAC", "drift, alone", "SQNR, alone", "drift, kept", "SQNR, kept")
    )
    rows = "".join(
        f"<tr><th>{escape(item.group.name)}</th><td>{item.group.kind}</td><td>{_precision(item)}</td>"
        f"<td>{item.group.macs / 1e6:.2f}</td><td>{item.alone.mae:.5f}</td><td>{item.alone.sqnr_db:.1f} dB</td>"
        f"<td>{item.kept.mae:.5f}</td><td>{item.kept.sqnr_db:.1f} dB</td></tr>"
        for item in sorted(items, key=lambda item: item.alone.mae, reverse=True)
    )
    return (
        f"<details><summary>All {len(items)} {by}s, the worst first</summary>"
        f'<div class="scroll"><table class="small"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        "</details>"
    )


def _precision(item: Sensitivity) -> str:
    return "float32" if item.stays else "INT8"


def _layer_row(item: Sensitivity) -> tuple[str | float, ...]:
    values = (item.alone.mae, item.alone.sqnr_db, item.kept.mae, item.kept.sqnr_db)
    group = item.group
    return (group.name, group.kind, _precision(item), group.macs, *(round(value, 6) for value in values))


def _sample_row(sample: Sample) -> str:
    pictures = {
        "image": sample.frame,
        "float32 map": to_grey(sample.float32),
        "INT8 map": to_grey(sample.int8),
        "difference": difference_picture(sample.int8, sample.float32),
    }
    return picture_row(sample.name, f"drift {sample.difference:.4f}", pictures)


def _spread_table(manifest: Manifest) -> str:
    """Counts of the set's frames by brightness and blurred fraction, in the cells that the choice is spread over."""
    counts = [[0] * BLUR_BINS for _ in range(BRIGHTNESS_BINS)]
    for entry in manifest.frames:
        row = min(int(entry.brightness * BRIGHTNESS_BINS), BRIGHTNESS_BINS - 1)
        counts[row][min(int(entry.blurred_fraction * BLUR_BINS), BLUR_BINS - 1)] += 1
    head = "".join(
        f"<th>{100 * index // BLUR_BINS} to {100 * (index + 1) // BLUR_BINS} %</th>" for index in range(BLUR_BINS)
    )
    rows = "".join(
        f"<tr><th>{100 * index // BRIGHTNESS_BINS} to {100 * (index + 1) // BRIGHTNESS_BINS} %</th>"
        + "".join(f"<td>{count}</td>" for count in row)
        + "</tr>"
        for index, row in enumerate(counts)
    )
    return f'<table class="small"><thead><tr><th>bright \\ blurred</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
