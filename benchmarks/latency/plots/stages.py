"""Stacked bars: what the stages of one image take, one panel for each network."""

from collections.abc import Sequence

from br2net.benchmarks.latency.plots.colours import STAGE_COLOURS, milliseconds
from br2net.benchmarks.latency.record import BACKEND_NAMES, Row
from br2net.benchmarks.report.canvas import Canvas

WIDTH, LEFT, RIGHT = 960, 262, 96
ROW, BAR, HEAD = 30, 18, 30


def stage_bars(rows: Sequence[Row]) -> str:
    """Medians of the stages, per image; each panel has its own scale, since the networks differ so much."""
    return "".join(_panel(name, [row for row in rows if row.network == name]) for name in _networks(rows))


def _networks(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.network for row in rows))


def _panel(network: str, rows: Sequence[Row]) -> str:
    canvas = Canvas(WIDTH, HEAD + ROW * len(rows) + 4, f"Stages of {network}")
    size = f"{rows[0].width}×{rows[0].height}"
    canvas.text((0, 15), f"{network}, {size}", kind="strong")
    longest = max(_total(row) for row in rows)
    for index, row in enumerate(rows):
        top = HEAD + ROW * index
        name = f"{BACKEND_NAMES.get(row.backend, row.backend)} {row.precision.upper()}, {row.form}"
        canvas.text((LEFT - 10, top + BAR - 4), name, "end", "name")
        at = float(LEFT)
        for stage, colour in STAGE_COLOURS.items():
            if stage not in row.stages:
                continue
            value = row.stages[stage].p50 / row.batch
            width = (WIDTH - LEFT - RIGHT) * value / longest
            canvas.rect((at, top), width, BAR, colour, f"{stage}: {milliseconds(value)}")
            at += width
        canvas.text((at + 8, top + BAR - 4), milliseconds(row.per_image_ms), kind="strong")
    return canvas.svg()


def _total(row: Row) -> float:
    return sum(stage.p50 for stage in row.stages.values()) / row.batch
