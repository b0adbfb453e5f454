"""How the times of each row scatter: one lane each, all relative to the row's own median."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from br2net.benchmarks.latency.plots.colours import colour_of, milliseconds
from br2net.benchmarks.latency.record import Row
from br2net.benchmarks.latency.timing import Series
from br2net.benchmarks.report.canvas import Canvas, Scale

WIDTH, LEFT, RIGHT, LANE, BOTTOM = 960, 262, 96, 50, 44
FEW = 8  # samples below this are drawn as dots
GRID = 300
NARROWEST, WIDEST = 0.04, 0.5  # of the axis to the right of the median, as a share of it


def distributions(rows: Sequence[Row], series: Sequence[Series]) -> str:
    """Densities of all samples, end to end, each over its median.

    The upright line is the median; the thin one reaches from the fastest sample to the 99th percentile, or to the slowest
    where there are fewer than a hundred. What lies outside the axis is left out.
    """
    times = [
        np.array([item.end_to_end for item in own.samples]) / row.batch for row, own in zip(rows, series, strict=True)
    ]
    relative = [own / np.median(own) - 1.0 for own in times]
    right = float(np.clip(max(_last(own) for own in relative) * 1.15, NARROWEST, WIDEST))
    left = float(np.clip(min(own.min() for own in relative) * 1.15, -WIDEST, -NARROWEST / 2))
    canvas = Canvas(WIDTH, LANE * len(rows) + BOTTOM + 8, "Distribution of the times")
    x = Scale(left * 100, right * 100, LEFT, WIDTH - RIGHT)
    floor = LANE * len(rows) + 8
    for tick in x.ticks():
        canvas.line((x.at(tick), 0), (x.at(tick), floor))
        canvas.text((x.at(tick), floor + 17), f"{tick:+g} %" if tick else "median", "middle")
    canvas.text(((x.start + x.end) / 2, floor + 38), "difference from the row's own median", "middle", "axis")
    for index, (row, own) in enumerate(zip(rows, relative, strict=True)):
        _lane(canvas, x, LANE * (index + 1), row, own * 100)
    return canvas.svg()


def _lane(canvas: Canvas, x: Scale, base: float, row: Row, percent: NDArray[np.float64]) -> None:
    colour = colour_of(row)
    canvas.text((LEFT - 10, base - 8), row.label, "end", "name")
    canvas.line((x.at(float(percent.min())), base), (x.at(_last(percent)), base), "whisker")
    if len(percent) < FEW:
        for value in percent:
            canvas.circle((x.at(float(value)), base - 6), 4, f"{colour} see-through")
    else:
        heights = _density(percent, np.linspace(x.low, x.high, GRID))
        points = [(x.at(value), base - (LANE - 8) * height) for value, height in heights]
        ends = [(points[0][0], base), *points, (points[-1][0], base)]
        canvas.curve(ends, f"{colour} area", closed=True, tip=f"{row.label}, {len(percent)} samples")
    canvas.line((x.at(0.0), base), (x.at(0.0), base - LANE + 8), "tick")
    canvas.text((WIDTH - RIGHT + 10, base - 8), milliseconds(row.per_image_ms), kind="strong")


def _last(values: NDArray[np.float64]) -> float:
    """Where the thin line ends."""
    return float(np.percentile(values, 99) if len(values) >= 100 else values.max())


def _density(values: NDArray[np.float64], grid: NDArray[np.float64]) -> list[tuple[float, float]]:
    """A Gaussian kernel density, highest 1; bandwidth by Silverman's rule of thumb, but no finer than the grid shows."""
    quartiles = np.percentile(values, [25, 75])
    spread = min(values.std(ddof=1), (quartiles[1] - quartiles[0]) / 1.349) or values.std(ddof=1)
    width = max(0.9 * spread * len(values) ** -0.2, 1.5 * float(grid[1] - grid[0]))
    heights = np.exp(-0.5 * ((grid[:, None] - values[None, :]) / width) ** 2).sum(axis=1)
    return list(zip(grid.tolist(), (heights / heights.max()).tolist(), strict=True))
