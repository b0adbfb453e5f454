"""Drawing on an SVG whose colours the page's style sheet chooses."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Where a value of an axis lies, in the units of the drawing: linear, or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Place of a value; what lies outside is put at the border."""
        low, high, value = (self._inner(item) for item in (self.low, self.high, value))
        share = min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values: 1, 2, 5 of each decade where there is room, or steps of about a fifth of the span."""
        if self.logarithmic:
            decades = math.log10(self.high / self.low)
            factors = (1, 2, 5) if decades < 3 else (1, 3) if decades < 4 else (1,)
            exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            values = [factor * 10.0**exponent for exponent in exponents for factor in factors]
            return [value for value in values if self.low * 0.999 <= value <= self.high * 1.001]
        span = self.high - self.low
        step = 10.0 ** math.floor(math.log10(span))
        step *= next(factor for factor in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0) if span / (step * factor) <= 6.0)
        first = math.ceil(self.low / step - 1e-9)
        return [index * step for index in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def _inner(self, value: float) -> float:
        return math.log10(max(value, 1e-12)) if self.logarithmic else value


@dataclass
class Canvas:
    """An SVG in the making."""

    width: float
    height: float
    label: str
    parts: list[str] = field(default_factory=list)

    def line(self, start: Point, end: Point, kind: str = "grid") -> None:
        """A straight line."""
        (x1, y1), (x2, y2) = start, end
        self.parts.append(f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def text(self, at: Point, text: str, anchor: str = "start", kind: str = "", turned: bool = False) -> None:
        """Words, not HTML; `anchor` is start, middle or end."""
        turn = f' transform="rotate(-90 {at[0]:.1f} {at[1]:.1f})"' if turned else ""
        name = f' class="{kind}"' if kind else ""
        place = f'x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}"'
        self.parts.append(f"<text{name} {place}{turn}>{escape(text)}</text>")

    def rect(self, at: Point, width: float, height: float, kind: str, tip: str = "", round_by: float = 0.0) -> None:
        """A filled rectangle."""
        place = f'x="{at[0]:.1f}" y="{at[1]:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
        self.parts.append(f'<rect class="{kind}" {place} rx="{round_by:g}">{_tip(tip)}</rect>')

    def circle(self, at: Point, radius: float, kind: str, tip: str = "") -> None:
        """A filled circle."""
        place = f'cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius:.1f}"'
        self.parts.append(f'<circle class="{kind}" {place}>{_tip(tip)}</circle>')

    def curve(self, points: Iterable[Point], kind: str, closed: bool = False, tip: str = "") -> None:
        """A line through points, or the area within."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        name = "polygon" if closed else "polyline"
        self.parts.append(f'<{name} class="{kind}" points="{path}">{_tip(tip)}</{name}>')

    def axes(self, x: Scale, y: Scale, x_label: str, y_label: str) -> None:
        """Grid, numbers and names of two axes; `y.start` is the lower border."""
        for tick in x.ticks():
            self.line((x.at(tick), y.start), (x.at(tick), y.end))
            self.text((x.at(tick), y.start + 17), number(tick), "middle")
        for tick in y.ticks():
            self.line((x.start, y.at(tick)), (x.end, y.at(tick)))
            self.text((x.start - 7, y.at(tick) + 4), number(tick), "end")
        self.text(((x.start + x.end) / 2, y.start + 38), x_label, "middle", "axis")
        self.text((14, (y.start + y.end) / 2), y_label, "middle", "axis", turned=True)

    def svg(self) -> Markup:
        """Return the `<svg>` element."""
        head = f'<svg viewBox="0 0 {self.width:g} {self.height:g}" role="img" aria-label="{escape(self.label)}">'
        return Markup(f"{head}{''.join(self.parts)}</svg>")


def number(value: float) -> str:
    """A tick's number: thousands with a comma, no needless digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """Return names with their colours, as HTML; entries are pairs of class and name."""
    items = "".join(
        f'<span class="nowrap"><i class="swatch {kind}"></i>{escape(name)}</span>' for kind, name in entries
    )
    return Markup(f'<p class="legend">{items}</p>')


def _tip(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""
