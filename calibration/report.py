"""The report of a calibration: one HTML page that needs nothing else, the figures as JSON, and a CSV of all layers."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from br2net.benchmarks.accuracy.contact_sheet import difference_picture, picture_row
from br2net.benchmarks.report.canvas import Canvas, Scale, number
from br2net.benchmarks.report.page import render
from br2net.calibration.gate import GateResult
from br2net.calibration.manifest import Manifest
from br2net.calibration.pipeline import METHOD, GateSample, Outcome
from br2net.calibration.selection import BLUR_BINS, BRIGHTNESS_BINS, CalibrationSet
from br2net.calibration.sensitivity import Sensitivity, worst
from br2net.files import write_text
from br2net.runtime.postprocessing import to_grey

LABELLED = 4
LAYER_HEADINGS = ("layer", "kind", "precision", "macs", "alone_mae", "alone_sqnr_db", "kept_mae", "kept_sqnr_db")
WIDTH, HEIGHT = 960, 300
LEFT, RIGHT, TOP, BOTTOM = 72, 10, 34, 34
LARGEST_GAP = 2.0
LETTER_WIDTH, LINE_HEIGHT = 7.5, 15.0


@dataclass(frozen=True)
class Bar:
    """One layer or block of a bar plot.

    Attributes:
        name: text shown where the pointer rests.
        value: height.
        kept: True if it stays float32.
        label: text above the bar; empty for none.
    """

    name: str
    value: float
    kept: bool
    label: str = ""

    @property
    def part(self) -> str:
        """The part of the network that it belongs to, for example `backbone`; neighbours of one part share a band."""
        return self.name.split(".")[0]


def write_report(
    folder: Path, outcome: Outcome, chosen: CalibrationSet, manifest: Manifest, written: bool, command: str
) -> Path:
    """Write `index.html`, `figures.json` and, where sensitivity was measured, `layers.csv`; return the page's path.

    Args:
        folder: made if missing.
        outcome: result of the calibration, also of one that was refused.
        chosen: calibration set.
        manifest: manifest of it.
        written: whether the INT8 file was written.
        command: shell line that makes this page again.

    Raises:
        InputError: if the folder cannot be written to.
    """
    items = outcome.sensitivity
    page = render(
        __package__,
        "report.html",
        outcome=outcome,
        model=outcome.metadata.name.removesuffix("-int8"),
        summary=summary_sentences(outcome, written),
        facts={
            "method": METHOD,
            "layers": f"{len(outcome.layers) - len(outcome.kept)} INT8, {len(outcome.kept)} kept",
            "calibrated on": f"{len(manifest.frames)} photographs",
            "input": f"{outcome.metadata.width}×{outcome.metadata.height}",
        },
        tiles=_tiles(outcome, written),
        gate=_gate_rows(outcome),
        by="block" if items and items[0].group.kind == "block" else "layer",
        plots=_plots(items) if items else {},
        noisiest=", ".join(item.group.name for item in worst(items, 3)),
        layers=[_layer_cells(item) for item in sorted(items, key=lambda item: item.alone.mae, reverse=True)],
        samples=[_sample_row(sample) for sample in outcome.samples],
        chosen=chosen.summary(),
        blur_bins=_bins(BLUR_BINS),
        spread=list(zip(_bins(BRIGHTNESS_BINS), _spread(manifest), strict=True)),
        command=command,
    )
    if items:
        write_text(folder / "layers.csv", layers_csv(items))
    write_text(folder / "figures.json", json.dumps(figures(outcome, written), indent=2) + "\n")
    write_text(folder / "index.html", page)
    return folder / "index.html"


def figures(outcome: Outcome, written: bool) -> dict[str, Any]:
    """What was measured, as `--json` prints it and `figures.json` holds it."""
    return {
        "model": outcome.metadata.name,
        "written": written,
        "method": METHOD,
        "all_int8": outcome.all_int8.to_json(),
        "gate": outcome.gate.to_json(),
        "openvino": outcome.openvino.to_json() if outcome.openvino else None,
        "broken": list(outcome.broken),
        "kept": list(outcome.kept),
        "int8_macs": round(outcome.int8_macs, 4),
        "float32_bytes": outcome.float32_bytes,
        "int8_bytes": outcome.int8_bytes if written else None,
        "reused": outcome.reused,
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
        f"With {100 * outcome.int8_macs:.0f} % of its multiply-accumulates in INT8, the maps "
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


def _tiles(outcome: Outcome, written: bool) -> list[tuple[str, str, str]]:
    gate = outcome.gate
    tiles = [("drift", f"{gate.difference:.4f}", f"{outcome.limits.difference:g} allowed")]
    if gate.mae_change is not None and gate.f_change is not None:
        tiles.append(("MAE", _signed(gate.mae_change), f"{outcome.limits.mae:g} allowed"))
        tiles.append(("F, blurred", _signed(gate.f_change), "change"))
    tiles.append(("INT8", f"{100 * outcome.int8_macs:.0f} %", "of multiply-accumulates"))
    if written:
        share = outcome.int8_bytes / outcome.float32_bytes
        tiles.append(("file", f"{outcome.int8_bytes / 1e6:.2f} MB", f"{share:.2f} of float32's"))
    return tiles


def _signed(value: float) -> str:
    return f"{round(value, 4) + 0.0:+.4f}"  # no negative zero


def _gate_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    if outcome.gate.float32 is not None:
        accuracy = outcome.gate.float32
        values = (accuracy.mae, accuracy.f_blurred, accuracy.f_sharp)
        rows.append(("float32", "", "", "", *(f"{value:.4f}" for value in values)))
    if outcome.all_int8 != outcome.gate:
        rows.append(_gate_row("before the cast and --auto", outcome.all_int8))
    rows.append(_gate_row("the file, by ONNX Runtime", outcome.gate))
    if outcome.openvino is not None:
        rows.append(_gate_row("the file, by OpenVINO on this CPU", outcome.openvino))
    return rows


def _gate_row(name: str, result: GateResult) -> tuple[str, ...]:
    cells = [f"{result.difference:.4f}", f"{result.worst_difference:.4f}", f"{result.sqnr_db:.1f} dB"]
    if result.int8 is not None:
        cells += [f"{value:.4f}" for value in (result.int8.mae, result.int8.f_blurred, result.int8.f_sharp)]
    return name, *cells


def _plots(items: Sequence[Sensitivity]) -> dict[str, Markup]:
    by = "block" if items[0].group.kind == "block" else "layer"
    drifts = [item.alone.mae for item in items]
    gains = [max(item.gain_db, 0.0) for item in items]
    return {
        f"Drift when only this {by} is INT8": bar_plot(_bars(items, drifts), "map difference", max(drifts) or 1e-6),
        f"What keeping this {by} in float32 too would gain": bar_plot(
            _bars(items, gains), "SQNR gained, dB", max(*gains, 0.1)
        ),
    }


def _bars(items: Sequence[Sensitivity], values: Sequence[float]) -> list[Bar]:
    """Return a bar for each group; the highest ones are labelled."""
    labelled = set(sorted(range(len(items)), key=lambda index: values[index], reverse=True)[:LABELLED])
    return [
        Bar(
            item.group.name,
            value,
            item.stays,
            item.group.name.removeprefix("backbone.features.") if index in labelled else "",
        )
        for index, (item, value) in enumerate(zip(items, values, strict=True))
    ]


def bar_plot(bars: Sequence[Bar], label: str, most: float) -> Markup:
    """Draw bars from left to right on an axis from 0 to a little above `most`, and return an `<svg>` element."""
    canvas = Canvas(WIDTH, HEIGHT, label)
    scale = Scale(0.0, 1.1 * most, HEIGHT - BOTTOM, TOP)
    step = (WIDTH - LEFT - RIGHT) / max(len(bars), 1)
    gap = min(LARGEST_GAP, step / 4)
    _draw_bands(canvas, bars, step)
    for tick in scale.ticks():
        canvas.line((LEFT, scale.at(tick)), (WIDTH - RIGHT, scale.at(tick)))
        canvas.text((LEFT - 7, scale.at(tick) + 4), number(tick), "end")
    for index, bar in enumerate(bars):
        top = scale.at(bar.value)
        place, height = (LEFT + index * step + gap / 2, top), max(scale.start - top, 0.5)
        canvas.rect(place, step - gap, height, "kept" if bar.kept else "int8", f"{bar.name}: {bar.value:.4g}")
    _draw_labels(canvas, bars, step, scale)
    canvas.text((14, (TOP + HEIGHT - BOTTOM) / 2), label, "middle", "axis", turned=True)
    return canvas.svg()


def _draw_bands(canvas: Canvas, bars: Sequence[Bar], step: float) -> None:
    """Shade every second part of the network, and name the parts below."""
    starts = [index for index, bar in enumerate(bars) if index == 0 or bar.part != bars[index - 1].part]
    for count, (start, end) in enumerate(zip(starts, [*starts[1:], len(bars)], strict=True)):
        left, width = LEFT + start * step, (end - start) * step
        if count % 2:
            canvas.rect((left, TOP), width, HEIGHT - BOTTOM - TOP, "band")
        canvas.text((left + width / 2, HEIGHT - BOTTOM + 18), bars[start].part, "middle")


def _draw_labels(canvas: Canvas, bars: Sequence[Bar], step: float, scale: Scale) -> None:
    """Write labels above their bars, the highest first; one that would cover another moves up, or is left out at the top."""
    placed: list[tuple[float, float, float]] = []
    for index in sorted(range(len(bars)), key=lambda index: bars[index].value, reverse=True):
        label = bars[index].label
        right_half = index > 0.6 * len(bars)
        width = LETTER_WIDTH * len(label)
        x = LEFT + (index + right_half) * step
        left = x - width if right_half else x
        y = scale.at(bars[index].value) - 5
        while y > LINE_HEIGHT and any(_covers(left, y, width, other) for other in placed):
            y -= 3
        if label and y > LINE_HEIGHT:
            placed.append((left, y, width))
            canvas.text((x, y), label, "end" if right_half else "start", "mark-label")


def _covers(left: float, y: float, width: float, other: tuple[float, float, float]) -> bool:
    return abs(y - other[1]) < LINE_HEIGHT and left < other[0] + other[2] and other[0] < left + width


def _layer_cells(item: Sensitivity) -> tuple[str, ...]:
    alone, kept, macs = item.alone, item.kept, f"{item.group.macs / 1e6:.2f}"
    drifts = (f"{alone.mae:.5f}", f"{alone.sqnr_db:.1f} dB", f"{kept.mae:.5f}", f"{kept.sqnr_db:.1f} dB")
    return item.group.name, item.group.kind, _precision(item), macs, *drifts


def _precision(item: Sensitivity) -> str:
    return "float32" if item.stays else "INT8"


def _layer_row(item: Sensitivity) -> tuple[str | float, ...]:
    values = (item.alone.mae, item.alone.sqnr_db, item.kept.mae, item.kept.sqnr_db)
    group = item.group
    return (group.name, group.kind, _precision(item), group.macs, *(round(value, 6) for value in values))


def _sample_row(sample: GateSample) -> Markup:
    pictures = {
        "image": sample.frame,
        "float32 map": to_grey(sample.float32),
        "INT8 map": to_grey(sample.int8),
        "difference": difference_picture(sample.int8, sample.float32),
    }
    return picture_row(sample.name, f"drift {sample.difference:.4f}", pictures)


def _spread(manifest: Manifest) -> list[list[int]]:
    """Count the set's frames by brightness and blurred fraction, in the cells that the choice is spread over."""
    counts = [[0] * BLUR_BINS for _ in range(BRIGHTNESS_BINS)]
    for entry in manifest.frames:
        row = min(int(entry.brightness * BRIGHTNESS_BINS), BRIGHTNESS_BINS - 1)
        counts[row][min(int(entry.blurred_fraction * BLUR_BINS), BLUR_BINS - 1)] += 1
    return counts


def _bins(count: int) -> list[str]:
    return [f"{100 * index // count} to {100 * (index + 1) // count} %" for index in range(count)]
