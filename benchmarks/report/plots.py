"""Line plots as inline SVG: text that a page's own style sheet colours, in light, dark and print."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 460, 320
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 46


@dataclass(frozen=True)
class Axis:
    """What an axis shows, and from where to where."""

    label: str
    low: float = 0.0
    high: float = 1.0

    def ticks(self) -> list[float]:
        """Five or six round values."""
        span = self.high - self.low
        step = 10.0 ** np.floor(np.log10(span))
        step *= next(factor for factor in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0) if span / (step * factor) <= 6.0)
        first = np.ceil(self.low / step - 1e-9) + 0.0  # no negative zero
        return [float(value) for value in np.arange(first, self.high / step + 1e-9) * step]


@dataclass(frozen=True)
class Mark:
    """A point of a plot that has a name."""

    x: float
    y: float
    label: str


def line_plot(
    x: NDArray[np.float64], y: NDArray[np.float64], x_axis: Axis, y_axis: Axis, marks: Sequence[Mark] = ()
) -> str:
    """Draw one line. x, y: `(n,)`; what lies outside the axes is cut off. Gives an `<svg>` element."""
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def across(value: float) -> float:
        return LEFT + inner_width * (value - x_axis.low) / (x_axis.high - x_axis.low)

    def down(value: float) -> float:
        return TOP + inner_height * (1.0 - (value - y_axis.low) / (y_axis.high - y_axis.low))

    bottom = HEIGHT - BOTTOM
    x_label, y_label = escape(x_axis.label), escape(y_axis.label)
    clip = "clip-" + re.sub(r"\W+", "-", f"{x_axis.label} {y_axis.label}")
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{y_label} over {x_label}">',
        f'<clipPath id="{clip}"><rect x="{LEFT}" y="{TOP - 2}" width="{inner_width}" height="{inner_height + 4}"/>'
        "</clipPath>",
    ]
    for tick in x_axis.ticks():
        at = across(tick)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    for tick in y_axis.ticks():
        at = down(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>')
    keep = np.isfinite(x) & np.isfinite(y)
    points = " ".join(f"{across(a):.1f},{down(b):.1f}" for a, b in zip(x[keep], y[keep], strict=True))
    parts.append(f'<polyline class="line" clip-path="url(#{clip})" points="{points}"/>')
    for mark in marks:
        near_right = across(mark.x) > LEFT + 0.6 * inner_width
        anchor, offset = ("end", -8) if near_right else ("start", 8)
        parts.append(f'<circle class="mark" cx="{across(mark.x):.1f}" cy="{down(mark.y):.1f}" r="4"/>')
        label_y = down(mark.y) + 20
        parts.append(
            f'<text class="mark-label" x="{across(mark.x) + offset:.1f}" y="{label_y:.1f}" text-anchor="{anchor}">'
            f"{escape(mark.label)}</text>"
        )
    center, middle = LEFT + inner_width / 2, TOP + inner_height / 2
    parts.append(f'<text class="axis" x="{center}" y="{HEIGHT - 8}" text-anchor="middle">{x_label}</text>')
    turned = f'transform="translate(14 {middle}) rotate(-90)" text-anchor="middle"'
    parts.append(f'<text class="axis" {turned}>{y_label}</text></svg>')
    return "".join(parts)
