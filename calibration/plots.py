"""Bars of all layers of a network as inline SVG, coloured by the page's style sheet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from br2net.benchmarks.report.plots import Axis

WIDTH, HEIGHT = 960, 300
LEFT, RIGHT, TOP, BOTTOM = 72, 10, 34, 34
LARGEST_GAP = 2.0
LETTER_WIDTH, LINE_HEIGHT = 7.5, 15.0


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
            f'<rect class="{"kept" if bar.kept else "int8"}" x="{left + gap / 2:.2f}" y="{top:.1f}" '
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
    """Labels above their bars, the highest first; one that would cover another moves up, or is left out at the top."""
    parts: list[str] = []
    placed: list[tuple[float, float, float]] = []
    for index in sorted(range(len(bars)), key=lambda index: bars[index].value, reverse=True):
        label = bars[index].label
        if not label:
            continue
        right_half = index > 0.6 * len(bars)
        width = LETTER_WIDTH * len(label)
        x = LEFT + (index + right_half) * step
        left = x - width if right_half else x
        y = down(bars[index].value) - 5
        while y > LINE_HEIGHT and any(_covers(left, y, width, other) for other in placed):
            y -= 3
        if y > LINE_HEIGHT:
            placed.append((left, y, width))
            anchor = "end" if right_half else "start"
            parts.append(
                f'<text class="mark-label" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(label)}</text>'
            )
    return parts


def _covers(left: float, y: float, width: float, other: tuple[float, float, float]) -> bool:
    return abs(y - other[1]) < LINE_HEIGHT and left < other[0] + other[2] and other[0] < left + width
