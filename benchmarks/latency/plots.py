"""The plots of the runtime report."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from br2net.benchmarks.latency.record import BACKEND_NAMES, LayerTime, Row
from br2net.benchmarks.latency.roofline import Peaks
from br2net.benchmarks.latency.timing import Series
from br2net.benchmarks.report.canvas import Canvas, Scale, legend

STAGE_COLOURS = {"preprocess": "c3", "transfer": "c4", "inference": "c1", "postprocess": "c2"}
BACKEND_COLOURS = {"torch": "c5", "onnxruntime": "c2", "openvino": "c1", "tensorrt": "c3"}
SERIES = ("c1", "c2", "c3", "c4", "c5")
WIDTH = 960
NAMES, VALUES = 262, 96  # room for names at the left and values at the right
BAR_ROW, BAR, BAR_HEAD = 30, 18, 30
LANE, LANE_BOTTOM = 50, 44
FEW = 8  # samples below this are drawn as dots
GRID = 300
NARROWEST, WIDEST = 0.04, 0.5  # of the axis to the right of the median, as a share of it
LABEL_HEIGHT = 17
SMALLEST_SHARE = 0.001
DEEPEST = 5000  # how far below the highest roof the axis reaches; what lies below is drawn at its end


def milliseconds(value: float) -> str:
    """Format with three significant digits."""
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 10 else f"{value:.2f} ms"


def stage_bars(rows: Sequence[Row]) -> Markup:
    """Draw medians of the stages, per image; each network has a panel and a scale, since they differ so much."""
    panels = []
    for network in dict.fromkeys(row.setting.network for row in rows):
        own = [row for row in rows if row.setting.network == network]
        bars = []
        for row in own:
            setting, batch = row.setting, row.setting.batch
            name = f"{BACKEND_NAMES.get(setting.backend, setting.backend)} {setting.precision.upper()}, {setting.form}"
            parts = {stage: found.p50 / batch for stage, found in row.times.stages.items()}
            bars.append((name, parts, milliseconds(row.per_image_ms)))
        title = f"{network}, {own[0].setting.width}×{own[0].setting.height}"
        panels.append(_bars(title, bars, VALUES))
    return Markup().join(panels)


def sweep_bars(row: Row) -> Markup:
    """Draw milliseconds of one image for each point of a row's sweep, by stage."""
    bars = []
    for point in row.sweep:
        parts = {
            "preprocess": point.preprocess_ms,
            "inference": point.inference_ms,
            "postprocess": point.postprocess_ms,
        }
        text = f"{milliseconds(point.end_to_end_ms)}, {1000 / point.end_to_end_ms:.0f} a second"
        bars.append((f"{point.width}×{point.height}, batch {point.batch}", parts, text))
    return _bars(f"{row.setting.label}, per image", bars, 200)


def _bars(title: str, bars: Sequence[tuple[str, Mapping[str, float], str]], right: float) -> Markup:
    """Draw stacked bars: each has a name, milliseconds by stage, and a text behind it."""
    canvas = Canvas(WIDTH, BAR_HEAD + BAR_ROW * len(bars) + 4, title)
    canvas.text((0, 15), title, kind="strong")
    longest = max(sum(parts.values()) for _, parts, _ in bars)
    for index, (name, parts, text) in enumerate(bars):
        top, at = BAR_HEAD + BAR_ROW * index, float(NAMES)
        canvas.text((NAMES - 10, top + BAR - 4), name, "end", "name")
        for stage, value in parts.items():
            width = (WIDTH - NAMES - right) * value / longest
            canvas.rect((at, top), width, BAR, STAGE_COLOURS[stage], f"{stage}: {milliseconds(value)}")
            at += width
        canvas.text((at + 8, top + BAR - 4), text, kind="strong")
    return canvas.svg()


def speed_accuracy(rows: Sequence[Row]) -> Markup:
    """Draw MAE against milliseconds per image, of the rows whose accuracy was measured; low and left is better."""
    height, left, right, top, bottom = 400, 78, 40, 18, 46
    known = [(row, row.accuracy) for row in rows if row.accuracy is not None]
    times = [row.per_image_ms for row, _ in known]
    errors = [accuracy.mae for _, accuracy in known]
    margin = max((max(errors) - min(errors)) * 0.35, 0.15 * max(errors), 1e-3)
    canvas = Canvas(WIDTH, height, "Accuracy against speed")
    x = Scale(min(times) * 0.7, max(times) * 1.9, left, WIDTH - right, logarithmic=True)
    y = Scale(max(min(errors) - margin, 0.0), max(errors) + margin, height - bottom, top)
    canvas.axes(x, y, "milliseconds per image, logarithmic", "MAE (smaller is better)")
    canvas.text((left + 10, height - bottom - 10), "↙ faster and more accurate")
    taken: list[tuple[float, float, float]] = []

    def free(x: float, y: float, width: float) -> float:
        """Return a height near `y` at which a label from `x` on meets no other."""

        def meets(place: float) -> bool:
            return any(a < x + width and x < b and abs(place - other) < LABEL_HEIGHT for a, b, other in taken)

        places = (y + sign * step * LABEL_HEIGHT for step in range(20) for sign in (-1, 1))
        inside = (place for place in places if top + 12 < place < height - bottom - 22 and not meets(place))
        found = next(inside, y)
        taken.append((x, x + width, found))
        return found

    for row, accuracy in sorted(known, key=lambda item: item[0].per_image_ms):
        label, at = row.setting.label, (x.at(row.per_image_ms), y.at(accuracy.mae))
        tip = f"{label}: {milliseconds(row.per_image_ms)}, MAE {accuracy.mae:.4f}, F {accuracy.max_f_blurred:.3f}"
        canvas.circle(at, 6, f"{_colour(row)} ringed", tip)
        label_y = free(at[0], at[1] - 10, 7.0 * len(label))
        if abs(label_y - at[1]) > 2 * LABEL_HEIGHT:
            canvas.line(at, (at[0] + 8, label_y - 4), "whisker")
        canvas.text((at[0] + 10, label_y), label, kind="name")
    return canvas.svg()


def distributions(rows: Sequence[Row], series: Sequence[Series]) -> Markup:
    """Draw densities of all samples, end to end, each over its median.

    The upright line is the median; the thin one reaches from the fastest sample to the 99th percentile, or to the slowest
    where there are fewer than a hundred. What lies outside the axis is left out.
    """
    times = [np.array([sample.end_to_end for sample in own.samples]) for own in series]
    relative = [own / np.median(own) - 1.0 for own in times]
    right = float(np.clip(max(_last(own) for own in relative) * 1.15, NARROWEST, WIDEST))
    left = float(np.clip(min(own.min() for own in relative) * 1.15, -WIDEST, -NARROWEST / 2))
    floor = LANE * len(rows) + 8
    canvas = Canvas(WIDTH, floor + LANE_BOTTOM, "Distribution of the times")
    x = Scale(left * 100, right * 100, NAMES, WIDTH - VALUES)
    for tick in x.ticks():
        canvas.line((x.at(tick), 0), (x.at(tick), floor))
        canvas.text((x.at(tick), floor + 17), f"{tick:+g} %" if tick else "median", "middle")
    canvas.text(((x.start + x.end) / 2, floor + 38), "difference from the row's own median", "middle", "axis")
    for index, (row, own) in enumerate(zip(rows, relative, strict=True)):
        _lane(canvas, x, LANE * (index + 1), row, own * 100)
    return canvas.svg()


def _lane(canvas: Canvas, x: Scale, base: float, row: Row, percent: NDArray[np.float64]) -> None:
    colour, label = _colour(row), row.setting.label
    canvas.text((NAMES - 10, base - 8), label, "end", "name")
    canvas.line((x.at(float(percent.min())), base), (x.at(_last(percent)), base), "whisker")
    if len(percent) < FEW:
        for value in percent:
            canvas.circle((x.at(float(value)), base - 6), 4, f"{colour} see-through")
    else:
        heights = _density(percent, np.linspace(x.low, x.high, GRID))
        points = [(x.at(value), base - (LANE - 8) * height) for value, height in heights]
        ends = [(points[0][0], base), *points, (points[-1][0], base)]
        canvas.curve(ends, f"{colour} area", closed=True, tip=f"{label}, {len(percent)} samples")
    canvas.line((x.at(0.0), base), (x.at(0.0), base - LANE + 8), "tick")
    canvas.text((WIDTH - VALUES + 10, base - 8), milliseconds(row.per_image_ms), kind="strong")


def _last(values: NDArray[np.float64]) -> float:
    """Return the end of the thin line."""
    return float(np.percentile(values, 99) if len(values) >= 100 else values.max())


def _density(values: NDArray[np.float64], grid: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Estimate a Gaussian kernel density, highest 1; bandwidth by Silverman's rule, but no finer than the grid shows."""
    quartiles = np.percentile(values, [25, 75])
    spread = min(values.std(ddof=1), (quartiles[1] - quartiles[0]) / 1.349) or values.std(ddof=1)
    width = max(0.9 * spread * len(values) ** -0.2, 1.5 * float(grid[1] - grid[0]))
    heights = np.exp(-0.5 * ((grid[:, None] - values[None, :]) / width) ** 2).sum(axis=1)
    return list(zip(grid.tolist(), (heights / heights.max()).tolist(), strict=True))


def roofline(rows: Sequence[Row], peaks: Peaks) -> Markup:
    """Draw steps of the profiled rows: multiply-accumulates per byte against multiply-accumulates per second.

    A disc's area is the time that a step takes. The roofs are the measured GEMM of each precision and the measured copies:
    out of memory, and out of the cache that is fastest.
    """
    height, left, right, top, bottom = 500, 66, 96, 18, 48
    shown = [(row, layers) for row in rows if (layers := _worth_showing(row.limits.layers))]
    points = [layer for _, layers in shown for layer in layers]
    used = {layer.precision for layer in points}
    roofs = {name: rate for name, rate in peaks.macs_per_second.items() if name in used or name == "fp32"}
    rates, highest = [*map(_rate, points), *roofs.values()], max(roofs.values())
    fastest = max(copy.bytes_per_second for copy in peaks.copies)
    canvas = Canvas(WIDTH, height, "Roofline")
    reach = max(*map(_intensity, points), 2 * highest / peaks.memory_bandwidth)
    low = max(min(rates) * 0.6, highest / DEEPEST) / 1e9
    x = Scale(min(map(_intensity, points)) * 0.7, reach * 1.2, left, WIDTH - right, logarithmic=True)
    y = Scale(low, max(rates) / 1e9 * 1.6, height - bottom, top, logarithmic=True)
    canvas.axes(x, y, "multiply-accumulates per byte moved", "10⁹ multiply-accumulates per second")
    for bandwidth, name, kind in ((peaks.memory_bandwidth, "memory", ""), (fastest, "cache", " dashed")):
        start, end = max(x.low, y.low * 1e9 / bandwidth), highest / bandwidth
        slope = [(x.at(value), y.at(value * bandwidth / 1e9)) for value in (start, min(end, x.high))]
        canvas.curve(slope, f"c5 stroke{kind}")
        middle = math.sqrt(start * end)
        place = (x.at(middle) - 9, y.at(middle * bandwidth / 1e9) - 5)
        canvas.text(place, f"{name}, {bandwidth / 1e9:.0f} GB/s", "end")
    label_y = -math.inf
    for precision, rate in sorted(roofs.items(), key=lambda item: item[1], reverse=True):
        level = y.at(rate / 1e9)
        canvas.line((x.at(max(rate / fastest, x.low)), level), (x.end, level), "c5 stroke")
        label_y = max(level + 4, label_y + 15)  # below the one before
        canvas.text((x.end + 6, label_y), f"{precision} {rate / 1e9:.0f}", kind="strong")
    longest = max(layer.ms for layer in points)
    colours = [SERIES[index % len(SERIES)] for index in range(len(shown))]
    for colour, (_, layers) in zip(colours, shown, strict=True):
        for layer in sorted(layers, key=lambda item: item.ms, reverse=True):
            radius = max(13.0 * math.sqrt(layer.ms / longest), 3.0)
            share = 100 * layer.bound_ms / layer.ms
            tip = (
                f"{layer.name} ({layer.kind}, {layer.precision}): {milliseconds(layer.ms)}, {share:.0f} % of its bound"
            )
            at = (x.at(_intensity(layer)), y.at(_rate(layer) / 1e9))
            canvas.circle(at, radius, f"{colour} see-through ringed", tip)
    names = [(colour, row.setting.label) for colour, (row, _) in zip(colours, shown, strict=True)]
    return legend(names) + canvas.svg()


def _worth_showing(layers: Sequence[LayerTime]) -> list[LayerTime]:
    """Return those that multiply and take at least a thousandth of the time."""
    least = sum(layer.ms for layer in layers) * SMALLEST_SHARE
    return [layer for layer in layers if layer.macs and layer.bytes_moved and layer.ms >= least]


def _intensity(layer: LayerTime) -> float:
    return layer.macs / layer.bytes_moved


def _rate(layer: LayerTime) -> float:
    """Return multiply-accumulates per second."""
    return layer.macs / layer.ms * 1000.0


def _colour(row: Row) -> str:
    return BACKEND_COLOURS.get(row.setting.backend, "c4")
