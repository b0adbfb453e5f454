"""The roofline: what the machine allows, and how near each step of a network comes."""

import math
from collections.abc import Sequence

from br2net.benchmarks.latency.plots.colours import SERIES, milliseconds
from br2net.benchmarks.latency.record import LayerTime, Row
from br2net.benchmarks.latency.roofline import Peaks
from br2net.benchmarks.report.canvas import Canvas, Scale, legend

SMALLEST_SHARE = 0.001
DEEPEST = 5000  # how far below the highest roof the axis reaches; what lies below is drawn at its end
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 500, 66, 96, 18, 48


def roofline(rows: Sequence[Row], peaks: Peaks) -> str:
    """Steps of the rows that were looked into: multiply-accumulates per byte against multiply-accumulates per second.

    A disc's area is the time that a step takes. The roofs are the measured GEMM of each precision and the measured copies:
    out of memory, and out of the cache that is fastest.
    """
    shown = [(row, layers) for row in rows if (layers := _worth_showing(row.layers))]
    points = [layer for _, layers in shown for layer in layers]
    used = {layer.precision for layer in points}
    roofs = {name: rate for name, rate in peaks.macs_per_second.items() if name in used or name == "fp32"}
    rates, top = [*map(_rate, points), *roofs.values()], max(roofs.values())
    fastest = max(copy.bytes_per_second for copy in peaks.copies)
    canvas = Canvas(WIDTH, HEIGHT, "Roofline")
    reach = max(*map(_intensity, points), 2 * top / peaks.memory_bandwidth)
    x = Scale(min(map(_intensity, points)) * 0.7, reach * 1.2, LEFT, WIDTH - RIGHT, logarithmic=True)
    y = Scale(
        max(min(rates) * 0.6, top / DEEPEST) / 1e9, max(rates) / 1e9 * 1.6, HEIGHT - BOTTOM, TOP, logarithmic=True
    )
    canvas.axes(x, y, "multiply-accumulates per byte moved", "10⁹ multiply-accumulates per second")
    for bandwidth, name, kind in ((peaks.memory_bandwidth, "memory", ""), (fastest, "cache", " dashed")):
        _slope(canvas, x, y, bandwidth, top, kind)
        middle = math.sqrt(max(x.low, y.low * 1e9 / bandwidth) * top / bandwidth)
        place = (x.at(middle) - 9, y.at(middle * bandwidth / 1e9) - 5)
        canvas.text(place, f"{name}, {bandwidth / 1e9:.0f} GB/s", "end")
    label_y = -math.inf
    for precision, rate in sorted(roofs.items(), key=lambda item: item[1], reverse=True):
        start, height = max(rate / fastest, x.low), y.at(rate / 1e9)
        canvas.line((x.at(start), height), (x.end, height), "c5 stroke")
        label_y = max(height + 4, label_y + 15)  # below the one before
        canvas.text((x.end + 6, label_y), f"{precision} {rate / 1e9:.0f}", kind="strong")
    longest = max(layer.ms for layer in points)
    for index, (_, layers) in enumerate(shown):
        for layer in sorted(layers, key=lambda item: item.ms, reverse=True):
            at = (x.at(_intensity(layer)), y.at(_rate(layer) / 1e9))
            radius = max(13.0 * math.sqrt(layer.ms / longest), 3.0)
            canvas.circle(at, radius, f"{SERIES[index % len(SERIES)]} see-through ringed", _tip(layer))
    names = [(SERIES[index % len(SERIES)], row.label) for index, (row, _) in enumerate(shown)]
    return legend(names) + canvas.svg()


def _worth_showing(layers: Sequence[LayerTime]) -> list[LayerTime]:
    """Those that multiply and take at least a thousandth of the time."""
    least = sum(layer.ms for layer in layers) * SMALLEST_SHARE
    return [layer for layer in layers if layer.macs and layer.bytes_moved and layer.ms >= least]


def _slope(canvas: Canvas, x: Scale, y: Scale, bandwidth: float, top: float, kind: str) -> None:
    left = max(x.low, y.low * 1e9 / bandwidth)
    right = min(top / bandwidth, x.high)
    points = [(x.at(value), y.at(value * bandwidth / 1e9)) for value in (left, right)]
    canvas.curve(points, f"c5 stroke{kind}")


def _intensity(layer: LayerTime) -> float:
    return layer.macs / layer.bytes_moved


def _rate(layer: LayerTime) -> float:
    """Multiply-accumulates per second."""
    return layer.macs / layer.ms * 1000.0


def _tip(layer: LayerTime) -> str:
    share = 100 * layer.bound_ms / layer.ms
    return f"{layer.name} ({layer.kind}, {layer.precision}): {milliseconds(layer.ms)}, {share:.0f} % of its bound"
