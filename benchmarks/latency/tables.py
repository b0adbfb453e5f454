"""The tables of the runtime report, as HTML."""

from collections.abc import Sequence
from html import escape

from br2net.benchmarks.latency.pipeline import STAGES
from br2net.benchmarks.latency.plots.colours import milliseconds
from br2net.benchmarks.latency.profiling import farthest
from br2net.benchmarks.latency.published import PUBLISHED_TIMINGS
from br2net.benchmarks.latency.record import Report, Row
from br2net.benchmarks.latency.statistics import Ratio
from br2net.benchmarks.report.page import table

NONE = "–"


def main_table(report: Report) -> str:
    """One line for each row; columns that no row has a figure for are left out."""
    rows, best = report.rows, report.fastest()
    columns: list[tuple[str, list[str]]] = [
        ("model", [_name(row) for row in rows]),
        ("median", [_median(row) for row in rows]),
        ("p90", [_ms(row.end_to_end.p90, row.batch) for row in rows]),
        ("p99", [_ms(row.end_to_end.p99, row.batch) for row in rows]),
        ("CV", [NONE if row.end_to_end.cv is None else f"{100 * row.end_to_end.cv:.1f} %" for row in rows]),
        ("× paper", [_ratio(row.faster_than_paper) for row in rows]),
        ("× eager", [_ratio(row.faster_than_eager) for row in rows]),
        ("× first", [_ratio(row.faster_than_first) for row in rows]),
        ("of limit", [_percent(row.share_of_limit()) for row in rows]),
        ("memory", [NONE if row.memory is None else _memory(row) for row in rows]),
        ("energy", [NONE if row.energy is None else f"{row.energy.joules_per_image:.3g} J" for row in rows]),
        ("MAE", [_accuracy(row) for row in rows]),
    ]
    shown = [column for column in columns if any(cell != NONE for cell in column[1])]
    body = []
    for index, row in enumerate(rows):
        cells = [cells[index] for _, cells in shown]
        kind = ' class="own"' if row is best else ""
        body.append(f"<tr{kind}><th>{cells[0]}</th>{''.join(f'<td>{cell}</td>' for cell in cells[1:])}</tr>")
    head = "".join(f"<th>{name}</th>" for name, _ in shown)
    content = f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    return f'<div class="scroll"><table class="tight">{content}</table></div>'


def all_percentiles(rows: Sequence[Row]) -> str:
    """Every figure of every stage, folded away."""
    body = []
    for row in rows:
        for stage, found in (*row.stages.items(), ("end to end", row.end_to_end)):
            values = (found.mean, found.min, found.p50, found.p90, found.p95, found.p99, found.max)
            cv = NONE if found.cv is None else f"{100 * found.cv:.1f} %"
            cells = [_ms(value, row.batch) for value in values]
            body.append([escape(row.label), stage, str(found.samples), *cells, cv])
    heading = ["model", "stage", "samples", "mean", "min", "p50", "p90", "p95", "p99", "max", "CV"]
    return f"<details><summary>All percentiles, stage by stage</summary>{table(heading, body, 'tight')}</details>"


def facts(report: Report) -> str:
    """The machine in one line, as a definition list's content."""
    versions = report.environment.packages
    used = {
        "openvino": "OpenVINO",
        "onnxruntime-gpu": "ONNX Runtime",
        "onnxruntime": "ONNX Runtime",
        "torch": "PyTorch",
    }
    found = {
        "device": report.environment.title(),
        "measured": report.created.split("T")[0],
        "with": ", ".join(f"{name} {versions[key]}" for key, name in used.items() if key in versions),
    }
    return "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in found.items())


def limit_words(report: Report) -> str:
    """What the limit is."""
    peaks = report.peaks
    assert peaks is not None
    rates = ", ".join(f"{precision} {rate / 1e9:.0f}" for precision, rate in peaks.macs_per_second.items())
    copies = max(copy.bytes_per_second for copy in peaks.copies) / 1e9
    return (
        f'<p class="quiet">The roofline bound of a layer is the longer of computing it at the speed of a GEMM and moving its '
        f"bytes at the speed of a copy of as many bytes, both {escape(peaks.source)} in this run: {rates} ·10⁹ "
        f"multiply-accumulates per second, {copies:.0f} GB/s in cache, {peaks.memory_bandwidth / 1e9:.0f} GB/s in memory. "
        "Of a network, it is the sum over the layers that multiply, all else being done on the way. Before and after the "
        "network, only what must be read and written counts.</p>"
    )


def stage_limits(rows: Sequence[Row]) -> str:
    """Bound over measurement, for each stage of each row."""
    body = []
    for row in rows:
        cells = [_name(row), f"{row.macs / 1e9:.2f}", f"{row.bytes_moved / 1e6:.0f}"]
        cells.append(f"{row.macs / row.bytes_moved:.0f}" if row.bytes_moved else NONE)
        for stage in STAGES:
            share = row.share_of_limit(stage)
            bound = row.bounds_ms.get(stage)
            known = share is not None and bound is not None
            cells.append(
                f"{_bar(share)} {_percent(share)}<small>{_ms(bound)} at best</small>" if known and share else NONE
            )
        body.append(cells)
    heading = ["", "GMAC", "MB moved", "MAC/byte", *STAGES]
    keep = [index for index in range(len(heading)) if index == 0 or any(cells[index] != NONE for cells in body)]
    return table([heading[index] for index in keep], [[cells[index] for index in keep] for cells in body], "tight")


def farthest_layers(row: Row) -> str:
    """The ten steps that lose the most time."""
    total = sum(layer.ms for layer in row.layers)
    body = [
        [
            escape(layer.name),
            escape(layer.kind),
            layer.precision,
            f"{layer.ms:.3f}",
            f"{layer.bound_ms:.3f}",
            f"{_bar(layer.bound_ms / layer.ms)} {_percent(layer.bound_ms / layer.ms)}",
            f"{100 * layer.ms / total:.1f} %",
        ]
        for layer in farthest(row.layers)
    ]
    heading = ["layer", "kind", "precision", "ms", "bound ms", "of limit", "of all layers"]
    return (
        f"<h3>The ten layers farthest from their limit: {escape(row.label)}</h3>"
        f'<p class="quiet">By time lost. {len(row.layers)} layers as executed, fused; together {milliseconds(total)}.</p>'
        + table(heading, body, "tight")
    )


def streams(rows: Sequence[Row]) -> str:
    """Throughput by number of streams."""
    body = [
        [
            _name(row),
            str(item.streams),
            str(item.threads_each),
            f"{item.images_per_second:.1f}",
            _ms(item.median_ms, row.batch),
        ]
        for row in rows
        for item in row.throughput
    ]
    note = (
        '<p class="quiet">Whole pipelines at once, each with its share of the threads, as a program with several cameras runs '
        "them: with one model where the backend computes several batches side by side, else with one for each.</p>"
    )
    return note + table(["", "streams", "threads each", "images a second", "median ms of one"], body, "tight")


def estimates(report: Report) -> str:
    """Estimates, plainly called so, and how wrong they are for this machine."""
    body = [
        [
            f"{escape(item.device)}",
            escape(f"{item.network} {item.form}"),
            item.precision,
            _ms(item.at_best_ms),
            _ms(item.as_here_ms),
        ]
        for item in report.estimates
    ]
    sources = dict.fromkeys(f"{item.device}: {item.source}" for item in report.estimates)
    checks = [
        [
            escape(check.row),
            escape(check.learned_from),
            _ms(check.estimated_ms),
            _ms(check.measured_ms),
            f"{100 * check.error:+.0f} %",
        ]
        for check in report.validations
    ]
    text = (
        '<p class="quiet"><strong>Estimates, not measurements.</strong> “At best” is the roofline bound of the network\'s '
        "inference by the device's published dense peaks. “As here” divides it by the share of the bound that the same network "
        "reached on this machine.</p>"
    )
    text += table(["device", "network", "precision", "at best, ms", "as here, ms"], body, "tight")
    if checks:
        text += (
            "<h3>The same estimate for this machine, against its measurement</h3>"
            '<p class="quiet">With this machine\'s own peaks, and the share of the bound that another network reached on the '
            "same backend: nothing of the estimated row is used.</p>"
        )
        text += table(["estimated", "share learned from", "estimate, ms", "measured, ms", "error"], checks, "tight")
    items = "".join(f"<li>{escape(source)}</li>" for source in sources)
    return f'{text}<p class="quiet">Sources of the peaks:</p><ul class="quiet">{items}</ul>'


def failures(report: Report) -> str:
    """What was asked for and did not run."""
    return table(["what", "why"], [[escape(item.what), escape(item.reason)] for item in report.failures], "words")


def published() -> str:
    """Timings of others, with their platforms."""
    body = [
        [escape(text) for text in (item.method, item.time, item.size, item.platform, item.source)]
        for item in PUBLISHED_TIMINGS
    ]
    return table(["method", "time", "input", "platform", "source"], body, "words")


def method(report: Report) -> str:
    """The method in a few sentences."""
    how = report.method
    backends = {row.device for row in report.rows}
    clock = "a monotonic clock" + ("" if backends <= {"CPU"} else ", on the GPU CUDA events,")
    return (
        f"After {how.warm_up} uncounted runs of each, at least {how.iterations} iterations and {how.seconds:g} seconds of "
        f"each, by {clock} of one process, batch sizes as named. Runs are interleaved: each of at least "
        f"{min(10, how.iterations)} rounds gives every row its share, every other round in reverse order, so that a machine "
        "that drifts touches all alike; a quick row runs once uncounted first in each round, since others had the caches "
        "before. Ratios compare medians of the same round. Memory is the peak of a process of its own that loads the model "
        "and runs it three times."
    )


def environment(report: Report) -> str:
    """The machine and the packages, and what happened on it meanwhile."""
    env, conditions = report.environment, report.conditions
    rows = [
        ("processor", f"{env.processor}, {env.cores} cores usable" + (", behind a hypervisor" if env.virtual else "")),
        ("memory", f"{env.memory_bytes / 2**30:.1f} GiB, largest cache {env.last_level_cache_bytes / 2**20:g} MiB"),
        ("board", env.board),
        ("GPU", env.gpu or "none"),
        ("power mode", env.power_mode or "not told by this system"),
        ("system", f"{env.system}, Python {env.python}"),
        ("packages", ", ".join(f"{name} {version}" for name, version in env.packages.items())),
    ]
    if conditions is not None:
        shares = [
            f"{100 * value:.0f} % {what}"
            for value, what in (
                (conditions.others_share, "used by other programs"),
                (conditions.stolen_share, "withheld"),
            )
            if value is not None
        ]
        clocks = conditions.clocks_mhz
        rows += [
            ("processor time", ", ".join(shares) or "not told by this system"),
            ("clocks", f"{clocks[0]:.0f} to {clocks[1]:.0f} MHz" if clocks else "not told by this system"),
            ("heat", f"{conditions.celsius:.0f} °C" if conditions.celsius is not None else "not told by this system"),
            ("lowered clocks", f"{conditions.throttled} times" if conditions.throttled else "never, as far as told"),
        ]
    return table(["", ""], [[name, escape(text)] for name, text in rows if text], "words bare")


def _name(row: Row) -> str:
    """Label, and below it what else tells rows apart."""
    notes = {"paper": "the paper's configuration"}
    size = f"{row.width}×{row.height}" + (f", batch {row.batch}" if row.batch > 1 else "")
    return f"{escape(row.label)}<small>{escape(', '.join(filter(None, (size, notes.get(row.role, '')))))}</small>"


def _accuracy(row: Row) -> str:
    """MAE, and F below."""
    if row.accuracy is None:
        return NONE
    return f"{row.accuracy.mae:.4f}<small>F {row.accuracy.max_f_blurred:.3f}</small>"


def _median(row: Row) -> str:
    """With the fastest and the slowest sample below."""
    low, high = (_ms(value, row.batch) for value in (row.end_to_end.min, row.end_to_end.max))
    return f"<b>{_ms(row.per_image_ms)}</b><small>{low} to {high}</small>"


def _ms(value: float | None, batch: int = 1) -> str:
    if value is None:
        return NONE
    value /= batch
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:.0f} %"


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return NONE
    digits = 0 if ratio.median >= 20 else 1
    return f"{ratio.median:.{digits}f}<small>{ratio.low:.{digits}f} to {ratio.high:.{digits}f}</small>"


def _memory(row: Row) -> str:
    assert row.memory is not None
    host = f"{row.memory.host_bytes / 2**20:,.0f} MiB"
    return (
        host
        if row.memory.device_bytes is None
        else f"{host}<small>{row.memory.device_bytes / 2**20:,.0f} on GPU</small>"
    )


def _bar(share: float) -> str:
    return f'<span class="bar"><i style="width:{100 * min(share, 1.0):.0f}%"></i></span>'
