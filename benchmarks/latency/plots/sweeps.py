"""What other batch and input sizes cost."""

from br2net.benchmarks.latency.plots.colours import STAGE_COLOURS, milliseconds
from br2net.benchmarks.latency.record import Row
from br2net.benchmarks.report.canvas import Canvas

WIDTH, LEFT, RIGHT, ROW, BAR, HEAD = 960, 262, 200, 30, 18, 30


def sweep_bars(row: Row) -> str:
    """Milliseconds of one image for each point of a row's sweep, by stage."""
    canvas = Canvas(WIDTH, HEAD + ROW * len(row.sweep) + 4, f"Sweep of {row.label}")
    canvas.text((0, 15), f"{row.label}, per image", kind="strong")
    longest = max(point.end_to_end_ms for point in row.sweep)
    for index, point in enumerate(row.sweep):
        top = HEAD + ROW * index
        canvas.text((LEFT - 10, top + BAR - 4), f"{point.width}×{point.height}, batch {point.batch}", "end", "name")
        at = float(LEFT)
        parts = {
            "preprocess": point.preprocess_ms,
            "inference": point.inference_ms,
            "postprocess": point.postprocess_ms,
        }
        for stage, value in parts.items():
            width = (WIDTH - LEFT - RIGHT) * value / longest
            canvas.rect((at, top), width, BAR, STAGE_COLOURS[stage], f"{stage}: {milliseconds(value)}")
            at += width
        text = f"{milliseconds(point.end_to_end_ms)}, {1000 / point.end_to_end_ms:.0f} a second"
        canvas.text((at + 8, top + BAR - 4), text, kind="strong")
    return canvas.svg()
