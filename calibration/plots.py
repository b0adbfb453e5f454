"""Bars of all layers of a network as inline SVG, coloured by the page's style sheet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from br2net.benchmarks.report.plots import Axis

WIDTH, HEIGHT = 960, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 10, 34, 34
LARGEST_GAP = 2.0


@dataclass(frozen=True)
class Bar:
    """One layer or block.

    Attributes:
        name: shown where the pointer rests.
        part: of the network, as `backbone`; neighbours of one part share a band.
        value: height.
        kept: whether it stays float32.
        label: shown above the bar; empty for none.
    """

    name: str
    part: str
    value: float
    kept: bool
    label: str = ""


def bar_plot(bars: Sequence[Bar], axis: Axis, line: float | None = None, line_label: str = "") -> str:
    """Draw the bars from left to right, and a dashed line across where `line` is given. Gives an `<svg>` element."""
    inner_width, bottom = WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM
    step = inner_width / max(len(bars), 1)
    gap = min(LARGEST_GAP, step / 4)

    def down(value: float) -> float:
        share = (value - axis.low) / (axis.high - axis.low)
        return TOP + (bottom - TOP) * (1.0 - min(max(share, 0.0), 1.0))

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(axis.label)}">']
    parts += _bands(bars, step, bottom)
    for tick in axis.ticks():
        at = down(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for index, bar in enumerate(bars):
        top, left = down(bar.value), LEFT + index * step
        parts.append(
            f'<rect class="{"kept" if bar.kept else "bar"}" x="{left + gap / 2:.2f}" y="{top:.1f}" '
            f'width="{step - gap:.2f}" height="{max(bottom - top, 0.5):.1f}"><title>{escape(bar.name)}: {bar.value:.4g}'
            "</title></rect>"
        )
    parts += _labels(bars, step, down)
    if line is not None:
        at = down(line)
        parts.append(f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="mark-label" x="{LEFT + 6}" y="{at - 5:.1f}">{escape(line_label)}</text>')
    middle = TOP + (bottom - TOP) / 2
    turned = f'transform="translate(14 {middle}) rotate(-90)" text-anchor="middle"'
    parts.append(f'<text class="axis" {turned}>{escape(axis.label)}</text></svg>')
    return "".join(parts)


def _bands(bars: Sequence[Bar], step: float, bottom: int) -> list[str]:
    """A shade behind every second part of the network, and the names of the parts below."""
    starts = [index for index, bar in enumerate(bars) if index == 0 or bar.part != bars[index - 1].part]
    parts = []
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(bars)], strict=True)):
        left, width = LEFT + start * step, (end - start) * step
        if number % 2:
            parts.append(f'<rect class="band" x="{left:.1f}" y="{TOP}" width="{width:.1f}" height="{bottom - TOP}"/>')
        parts.append(
            f'<text x="{left + width / 2:.1f}" y="{bottom + 18}" text-anchor="middle">{escape(bars[start].part)}</text>'
        )
    return parts


def _labels(bars: Sequence[Bar], step: float, down: Callable[[float], float]) -> list[str]:
    """Labels above their bars, to the left of them on the right half of the plot."""
    parts = []
    for index, bar in enumerate(bars):
        if bar.label:
            center, right_half = LEFT + (index + 0.5) * step, index > 0.6 * len(bars)
            anchor = "end" if right_half else "start"
            at = max(down(bar.value) - 5, 12)
            x = center + (step if right_half else -step) / 2
            parts.append(
                f'<text class="mark-label" x="{x:.1f}" y="{at:.1f}" text-anchor="{anchor}">{escape(bar.label)}</text>'
            )
    return parts
