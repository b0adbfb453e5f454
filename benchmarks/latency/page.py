"""The report of a run: one HTML page that needs nothing else, the figures as JSON, all samples as CSV."""

from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from br2net.benchmarks.latency import tables
from br2net.benchmarks.latency.plots import distributions, roofline, speed_accuracy, stage_bars, sweep_bars
from br2net.benchmarks.latency.plots.colours import STAGE_COLOURS, milliseconds
from br2net.benchmarks.latency.record import Report, Row
from br2net.benchmarks.latency.store import samples_csv, write_json
from br2net.benchmarks.report.canvas import legend
from br2net.benchmarks.report.page import style
from br2net.files import write_text


def write_report(folder: Path, report: Report) -> Path:
    """Write `index.html`, `benchmark.json` and `samples.csv` into `folder`, made if missing; gives the page's path.

    Raises:
        InputError: if the folder cannot be written to.
    """
    write_json(folder / "benchmark.json", report)
    write_text(folder / "samples.csv", samples_csv(report))
    write_text(folder / "index.html", page(report))
    return folder / "index.html"


def page(report: Report) -> str:
    """The page as HTML."""
    template = Template(resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
    names = list(dict.fromkeys(row.network for row in report.models)) or ["nothing"]
    return template.substitute(
        style=style(),
        title=escape(f"Runtime of {' and '.join(names)} on {report.environment.title()}"),
        summary=escape(summary(report)),
        facts=tables.facts(report),
        warnings=_warnings(report),
        tiles=_tiles(report),
        frame=report.frame.replace("x", "×"),
        table=tables.main_table(report) + tables.all_percentiles(report.rows),
        sections="".join(_sections(report)),
        published=tables.published(),
        method=escape(tables.method(report)),
        environment=tables.environment(report),
        command=escape(report.command),
    )


def summary(report: Report) -> str:
    """What the figures say, in a few sentences of plain text."""
    best = report.fastest()
    if best is None:
        return "Nothing was measured to its end."
    text = [
        f"{best.label} takes {milliseconds(best.per_image_ms)} per {report.frame.replace('x', '×')} photograph, "
        f"{_times(1000 / best.per_image_ms)} a second one after the other."
    ]
    if best.faster_than_paper is not None:
        ratio = best.faster_than_paper
        text.append(
            f"That is {_times(ratio.median)} times as fast as the paper's configuration on the same machine in the same run "
            f"({_times(ratio.low)} to {_times(ratio.high)} over {ratio.rounds} rounds)."
        )
    share = best.share_of_limit()
    if share is not None:
        text.append(f"Its network runs at {100 * share:.0f} % of what the machine's measured peaks allow.")
    if report.warnings():
        text.append("The run was disturbed; see the warnings.")
    return " ".join(text)


def _sections(report: Report) -> list[str]:
    rows = list(report.rows)
    looked_into = [row for row in rows if any(layer.macs for layer in row.layers)]
    parts = []
    if rows:
        stages = legend(
            [(colour, stage) for stage, colour in STAGE_COLOURS.items() if any(stage in row.stages for row in rows)]
        )
        parts += [
            "<h2>Stage by stage</h2>",
            '<p class="quiet">Medians, per image. Each network has a scale of its own.</p>',
            f'<figure class="wide">{stages}{stage_bars(rows)}</figure>',
            "<h2>How the times scatter</h2>",
            '<p class="quiet">All samples, end to end. The upright line is the median; the thin one reaches from the '
            "fastest sample to the 99th percentile, or to the slowest where there are fewer than 100 samples.</p>",
            f'<figure class="wide">{distributions(rows, report.series)}</figure>',
        ]
    parts += ["<h2>Accuracy beside speed</h2>", _accuracy(rows)]
    if report.peaks is not None and any(row.bounds_ms for row in rows):
        parts += ["<h2>Against the limit</h2>", tables.limit_words(report), tables.stage_limits(rows)]
        if looked_into:
            parts += [
                f'<figure class="wide">{roofline(looked_into, report.peaks)}</figure>',
                '<p class="quiet">Each disc is a step of the network as it was executed, its area its time; steps that '
                "take less than a thousandth of the time are left out. The nearer to its roof, the better.</p>",
                *(tables.farthest_layers(row) for row in looked_into),
            ]
    if any(row.throughput for row in rows):
        parts += ["<h2>Several streams</h2>", tables.streams(rows)]
    swept = [row for row in rows if row.sweep]
    if swept:
        bars = "".join(sweep_bars(row) for row in swept)
        key = legend([(STAGE_COLOURS[name], name) for name in ("preprocess", "inference", "postprocess")])
        parts += ["<h2>Batch and input sizes</h2>", f'<figure class="wide">{key}{bars}</figure>']
    if report.estimates:
        parts += ["<h2>Estimates for other devices</h2>", tables.estimates(report)]
    if report.failures:
        parts += ["<h2>What did not run</h2>", tables.failures(report)]
    return parts


def _accuracy(rows: list[Row]) -> str:
    known = [row for row in rows if row.accuracy is not None]
    if not known:
        return '<p class="quiet">Not measured in this run; <code>--dataset DIR</code> measures it.</p>'
    first = known[0].accuracy
    assert first is not None
    note = f"On {escape(first.dataset)}, {first.images} photographs; F has blurred as positive."
    return f'<p class="quiet">{note}</p><figure class="wide">{speed_accuracy(known)}</figure>'


def _warnings(report: Report) -> str:
    said = [*report.warnings(), *report.notes]
    said += [f"{row.label}: {text}" for row in report.rows for text in row.warnings]
    if not said:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in said)
    kind = "warning" if report.warnings() or any(row.warnings for row in report.rows) else "warning note"
    return f'<div class="{kind}" role="note"><strong>To keep in mind</strong><ul>{items}</ul></div>'


def _tiles(report: Report) -> str:
    best = report.fastest()
    if best is None:
        return ""
    tiles = [(milliseconds(best.per_image_ms), "per image", "median, whole way")]
    if best.faster_than_paper is not None:
        tiles.append((f"{_times(best.faster_than_paper.median)}×", "speed-up", "over the paper's way"))
    most = max((item.images_per_second for row in report.rows for item in row.throughput), default=0.0)
    if most:
        tiles.append((_times(most), "images/s", "with several streams"))
    share = best.share_of_limit()
    if share is not None:
        tiles.append((f"{100 * share:.0f} %", "of the limit", "roofline bound"))
    if best.memory is not None:
        tiles.append((f"{best.memory.host_bytes / 2**20:.0f} MiB", "memory", "peak, whole process"))
    if best.accuracy is not None:
        tiles.append((f"{best.accuracy.mae:.3f}", "MAE", best.accuracy.dataset))
    return "".join(
        f'<div class="tile"><span>{escape(name)}</span><strong>{value}</strong><small>{escape(note)}</small></div>'
        for value, name, note in tiles
    )


def _times(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}"
