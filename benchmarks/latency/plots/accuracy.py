"""The speed-accuracy plane."""

from collections.abc import Sequence

from br2net.benchmarks.latency.plots.colours import colour_of, milliseconds
from br2net.benchmarks.latency.record import Row
from br2net.benchmarks.report.canvas import Canvas, Scale

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 400, 78, 40, 18, 46
LABEL_HEIGHT = 17


def speed_accuracy(rows: Sequence[Row]) -> str:
    """MAE against milliseconds per image, of the rows whose accuracy was measured; low and left is better."""
    known = [(row, row.accuracy) for row in rows if row.accuracy is not None]
    times = [row.per_image_ms for row, _ in known]
    errors = [accuracy.mae for _, accuracy in known]
    margin = max((max(errors) - min(errors)) * 0.35, 0.15 * max(errors), 1e-3)
    canvas = Canvas(WIDTH, HEIGHT, "Accuracy against speed")
    x = Scale(min(times) * 0.7, max(times) * 1.9, LEFT, WIDTH - RIGHT, logarithmic=True)
    y = Scale(max(min(errors) - margin, 0.0), max(errors) + margin, HEIGHT - BOTTOM, TOP)
    canvas.axes(x, y, "milliseconds per image, logarithmic", "MAE (smaller is better)")
    canvas.text((LEFT + 10, HEIGHT - BOTTOM - 10), "↙ faster and more accurate")
    taken: list[tuple[float, float, float]] = []
    for row, accuracy in sorted(known, key=lambda item: item[0].per_image_ms):
        at = (x.at(row.per_image_ms), y.at(accuracy.mae))
        tip = f"{row.label}: {milliseconds(row.per_image_ms)}, MAE {accuracy.mae:.4f}, F {accuracy.max_f_blurred:.3f}"
        canvas.circle(at, 6, f"{colour_of(row)} ringed", tip)
        label_y = _free(at[0], at[1] - 10, 7.0 * len(row.label), taken)
        if abs(label_y - at[1]) > 2 * LABEL_HEIGHT:
            canvas.line(at, (at[0] + 8, label_y - 4), "whisker")
        canvas.text((at[0] + 10, label_y), row.label, kind="name")
    return canvas.svg()


def _free(x: float, y: float, width: float, taken: list[tuple[float, float, float]]) -> float:
    """A height near `y` at which a label from `x` on meets none that is there."""

    def meets(height: float) -> bool:
        return any(
            x < right and left < x + width and abs(height - other) < LABEL_HEIGHT for left, right, other in taken
        )

    choices = (y + sign * step * LABEL_HEIGHT for step in range(20) for sign in (-1, 1))
    found = next((choice for choice in choices if TOP + 12 < choice < HEIGHT - BOTTOM - 22 and not meets(choice)), y)
    taken.append((x, x + width, found))
    return found
