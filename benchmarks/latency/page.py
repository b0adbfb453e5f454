"""The report of a run: one HTML page that needs nothing else, the figures as JSON, all samples as CSV."""

from collections.abc import Sequence
from pathlib import Path

from br2net.benchmarks.latency.plots import (
    STAGE_COLOURS,
    distributions,
    milliseconds,
    roofline,
    speed_accuracy,
    stage_bars,
    sweep_bars,
)
from br2net.benchmarks.latency.record import LayerTime, Report, Row, samples_csv, write_json
from br2net.benchmarks.latency.statistics import Ratio
from br2net.benchmarks.latency.timing import STAGES
from br2net.benchmarks.report.canvas import legend
from br2net.benchmarks.report.page import render
from br2net.files import write_text

NONE = "–"
UNKNOWN = "not told by this system"
PACKAGE_NAMES = {
    "openvino": "OpenVINO",
    "onnxruntime-gpu": "ONNX Runtime",
    "onnxruntime": "ONNX Runtime",
    "torch": "PyTorch",
}
Cell = str | tuple[str, str] | tuple[str, str, float]  # text, a smaller note below it, and a share drawn as a bar
Table = tuple[list[str], list[list[Cell]]]  # heading and rows


def write_report(folder: Path, report: Report) -> Path:
    """Write `index.html`, `benchmark.json` and `samples.csv` into `folder`, made if missing; return the page's path.

    Raises:
        InputError: if the folder cannot be written to.
    """
    write_json(folder / "benchmark.json", report)
    write_text(folder / "samples.csv", samples_csv(report))
    write_text(folder / "index.html", page(report))
    return folder / "index.html"


def page(report: Report) -> str:
    """Return the page as HTML."""
    rows, best = report.rows, report.fastest()
    names = list(dict.fromkeys(row.setting.network for row in report.models)) or ["nothing"]
    measured = [row for row in rows if row.accuracy is not None]
    profiled = [row for row in rows if any(layer.macs for layer in row.limits.layers)]
    bounded = report.peaks is not None and any(row.limits.bounds_ms for row in rows)
    swept = [row for row in rows if row.sweep]
    versions = report.environment.packages
    return render(
        "br2net.benchmarks.latency",
        "report.html",
        report=report,
        title=f"Runtime of {' and '.join(names)} on {report.environment.title()}",
        summary=summary(report),
        frame=report.frame.replace("x", "×"),
        setting={
            "device": report.environment.title(),
            "measured": report.created.split("T")[0],
            "with": ", ".join(f"{name} {versions[key]}" for key, name in PACKAGE_NAMES.items() if key in versions),
        },
        warnings=[
            *report.warnings(),
            *report.notes,
            *(f"{row.setting.label}: {text}" for row in rows for text in row.times.warnings),
        ],
        is_doubtful=bool(report.warnings() or any(row.times.warnings for row in rows)),
        tiles=_tiles(report),
        best_index=None if best is None else rows.index(best),
        main=_main_table(rows),
        percentiles=_percentiles(rows),
        stage_legend=_stage_legend(
            [stage for stage in STAGE_COLOURS if any(stage in row.times.stages for row in rows)]
        ),
        stage_bars=stage_bars(rows) if rows else "",
        distributions=distributions(rows, report.series) if rows else "",
        accuracy=measured[0].accuracy if measured else None,
        speed_accuracy=speed_accuracy(measured) if measured else "",
        limits=_stage_limits(rows) if bounded else None,
        roofline=roofline(profiled, report.peaks) if bounded and profiled and report.peaks else "",
        layers=[(row, sum(layer.ms for layer in row.limits.layers), _farthest(row.limits.layers)) for row in profiled],
        streams=_streams(rows),
        sweep_legend=_stage_legend(["preprocess", "inference", "postprocess"]),
        sweeps=[sweep_bars(row) for row in swept],
        sources=list(dict.fromkeys(f"{item.device}: {item.source}" for item in report.estimates)),
        clock="a monotonic clock"
        + ("" if all(row.setting.device == "CPU" for row in rows) else ", on the GPU CUDA events,"),
        environment=_environment(report),
        name=_name,
        ms=_ms,
        share=_percent,
        milliseconds=milliseconds,
    )


def summary(report: Report) -> str:
    """Return what the figures say, in a few sentences of plain text."""
    best = report.fastest()
    if best is None:
        return "Nothing was measured to its end."
    text = [
        f"{best.setting.label} takes {milliseconds(best.per_image_ms)} per {report.frame.replace('x', '×')} photograph, "
        f"{_times(1000 / best.per_image_ms)} a second one after the other."
    ]
    ratio = best.times.faster_than_paper
    if ratio is not None:
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


def _tiles(report: Report) -> list[tuple[str, str, str]]:
    best = report.fastest()
    if best is None:
        return []
    tiles = [("per image", milliseconds(best.per_image_ms), "median, whole way")]
    if best.times.faster_than_paper is not None:
        tiles.append(("speed-up", f"{_times(best.times.faster_than_paper.median)}×", "over the paper's way"))
    most = max((item.images_per_second for row in report.rows for item in row.throughput), default=0.0)
    if most:
        tiles.append(("images/s", _times(most), "with several streams"))
    if best.share_of_limit() is not None:
        tiles.append(("of the limit", _percent(best.share_of_limit()), "roofline bound"))
    if best.memory is not None:
        tiles.append(("memory", f"{best.memory.host_bytes / 2**20:.0f} MiB", "peak, whole process"))
    if best.accuracy is not None:
        tiles.append(("MAE", f"{best.accuracy.mae:.3f}", best.accuracy.dataset))
    return tiles


def _main_table(rows: Sequence[Row]) -> Table:
    """Return one line for each row, without columns that no row has a figure for."""
    heading = [
        "model",
        "median",
        "p90",
        "p99",
        "CV",
        "× paper",
        "× eager",
        "× first",
        "of limit",
        "memory",
        "energy",
        "MAE",
    ]
    return _without_empty_columns(heading, [_main_cells(row) for row in rows])


def _main_cells(row: Row) -> list[Cell]:
    times, batch = row.times, row.setting.batch
    ends, memory, accuracy = times.end_to_end, row.memory, row.accuracy
    memory_cell: Cell = NONE if memory is None else f"{memory.host_bytes / 2**20:,.0f} MiB"
    if memory is not None and memory.device_bytes is not None:
        memory_cell = f"{memory.host_bytes / 2**20:,.0f} MiB", f"{memory.device_bytes / 2**20:,.0f} on GPU"
    return [
        _name(row),
        (_ms(row.per_image_ms), f"{_ms(ends.min, batch)} to {_ms(ends.max, batch)}"),
        _ms(ends.p90, batch),
        _ms(ends.p99, batch),
        _spread(ends.cv),
        _ratio(times.faster_than_paper),
        _ratio(times.faster_than_eager),
        _ratio(times.faster_than_first),
        _percent(row.share_of_limit()),
        memory_cell,
        NONE if row.energy is None else f"{row.energy.joules_per_image:.3g} J",
        NONE if accuracy is None else (f"{accuracy.mae:.4f}", f"F {accuracy.max_f_blurred:.3f}"),
    ]


def _percentiles(rows: Sequence[Row]) -> Table:
    body: list[list[Cell]] = []
    for row in rows:
        for stage, found in (*row.times.stages.items(), ("end to end", row.times.end_to_end)):
            values = (found.mean, found.min, found.p50, found.p90, found.p95, found.p99, found.max)
            cells = [_ms(value, row.setting.batch) for value in values]
            body.append([row.setting.label, stage, str(found.samples), *cells, _spread(found.cv)])
    return ["model", "stage", "samples", "mean", "min", "p50", "p90", "p95", "p99", "max", "CV"], body


def _stage_limits(rows: Sequence[Row]) -> Table:
    """Return the work of each row, and bound over measurement for each stage."""
    body: list[list[Cell]] = []
    for row in rows:
        macs, moved = row.limits.macs, row.limits.bytes_moved
        cells: list[Cell] = [_name(row), f"{macs / 1e9:.2f}", f"{moved / 1e6:.0f}"]
        cells.append(f"{macs / moved:.0f}" if moved else NONE)
        for stage in STAGES:
            share = row.share_of_limit(stage)
            cells.append(
                NONE if share is None else (_percent(share), f"{_ms(row.limits.bounds_ms[stage])} at best", share)
            )
        body.append(cells)
    return _without_empty_columns(["", "GMAC", "MB moved", "MAC/byte", *STAGES], body)


def _farthest(layers: Sequence[LayerTime], count: int = 10) -> list[LayerTime]:
    """Return the steps that lose the most time against their bound, the worst first."""
    return sorted(layers, key=lambda layer: layer.ms - layer.bound_ms, reverse=True)[:count]


def _streams(rows: Sequence[Row]) -> Table:
    body: list[list[Cell]] = [
        [
            _name(row),
            str(item.streams),
            str(item.threads_each),
            f"{item.images_per_second:.1f}",
            _ms(item.median_ms, row.setting.batch),
        ]
        for row in rows
        for item in row.throughput
    ]
    return ["", "streams", "threads each", "images a second", "median ms of one"], body


def _environment(report: Report) -> dict[str, str]:
    """Return the machine, the packages, and what happened during the run."""
    env, conditions = report.environment, report.conditions
    facts = {
        "processor": f"{env.processor}, {env.cores} cores usable" + (", behind a hypervisor" if env.virtual else ""),
        "memory": f"{env.memory_bytes / 2**30:.1f} GiB, largest cache {env.last_level_cache_bytes / 2**20:g} MiB",
        "board": env.board,
        "GPU": env.gpu or "none",
        "power mode": env.power_mode or UNKNOWN,
        "system": f"{env.system}, Python {env.python}",
        "packages": ", ".join(f"{name} {version}" for name, version in env.packages.items()),
    }
    if conditions is not None:
        shares = {"used by other programs": conditions.others_share, "withheld": conditions.stolen_share}
        clocks = conditions.clocks_mhz
        facts |= {
            "processor time": ", ".join(
                f"{100 * value:.0f} % {what}" for what, value in shares.items() if value is not None
            )
            or UNKNOWN,
            "clocks": f"{clocks[0]:.0f} to {clocks[1]:.0f} MHz" if clocks else UNKNOWN,
            "heat": UNKNOWN if conditions.celsius is None else f"{conditions.celsius:.0f} °C",
            "lowered clocks": f"{conditions.throttled} times" if conditions.throttled else "never, as far as told",
        }
    return {name: text for name, text in facts.items() if text}


def _without_empty_columns(heading: list[str], body: list[list[Cell]]) -> Table:
    keep = [index for index in range(len(heading)) if index == 0 or any(cells[index] != NONE for cells in body)]
    return [heading[index] for index in keep], [[cells[index] for index in keep] for cells in body]


def _stage_legend(stages: Sequence[str]) -> str:
    return legend([(STAGE_COLOURS[stage], stage) for stage in stages])


def _name(row: Row) -> Cell:
    """Return the label, and below it what else tells rows apart."""
    setting = row.setting
    notes = [f"{setting.width}×{setting.height}"]
    notes += [f"batch {setting.batch}"] if setting.batch > 1 else []
    notes += ["the paper's configuration"] if setting.role == "paper" else []
    return setting.label, ", ".join(notes)


def _ms(value: float | None, batch: int = 1) -> str:
    if value is None:
        return NONE
    value /= batch
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:.0f} %"


def _spread(cv: float | None) -> str:
    return NONE if cv is None else f"{100 * cv:.1f} %"


def _ratio(ratio: Ratio | None) -> Cell:
    if ratio is None:
        return NONE
    digits = 0 if ratio.median >= 20 else 1
    return f"{ratio.median:.{digits}f}", f"{ratio.low:.{digits}f} to {ratio.high:.{digits}f}"


def _times(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}"
