"""Results of a run: rows of figures, the machine and the method; written as JSON of a versioned schema and as CSV."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from br2net.benchmarks.latency.conditions import Conditions
from br2net.benchmarks.latency.environment import Environment
from br2net.benchmarks.latency.memory import Memory
from br2net.benchmarks.latency.power import Energy
from br2net.benchmarks.latency.roofline import Peaks
from br2net.benchmarks.latency.statistics import LARGEST_CV, Distribution, Ratio
from br2net.benchmarks.latency.timing import STAGES, Method, Sample, Series
from br2net.errors import InputError
from br2net.files import write_text

SCHEMA = "br2net-benchmark-1"
BACKEND_NAMES = {
    "torch": "PyTorch eager",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "tensorrt": "TensorRT",
}


@dataclass(frozen=True)
class LayerTime:
    """One step of the network as the backend executed it, one batch.

    Attributes:
        ms: milliseconds, the mean of several runs.
        macs: multiply-accumulates; 0 for what only moves or changes numbers one by one.
        bytes_moved: read and written.
        bound_ms: the least time by the roofline.
    """

    name: str
    kind: str
    precision: str
    ms: float
    macs: int
    bytes_moved: int
    bound_ms: float


@dataclass(frozen=True)
class Accuracy:
    """Of one row on a data set; F with blurred as positive."""

    dataset: str
    images: int
    mae: float
    max_f_blurred: float


@dataclass(frozen=True)
class Throughput:
    """Several streams at once, each with its share of the threads."""

    streams: int
    threads_each: int
    images_per_second: float
    median_ms: float


@dataclass(frozen=True)
class SweepPoint:
    """One batch size and input size; milliseconds and energy are those of one image."""

    width: int
    height: int
    batch: int
    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float
    end_to_end_ms: float
    cv: float | None


@dataclass(frozen=True)
class Setting:
    """What was timed: one file on one backend.

    Attributes:
        role: `paper` (the paper's configuration), `eager` (the same network as a model's in PyTorch eager, fp32, plain), or
            `model` (what was asked for).
        name: name on the command line.
        weights: what the weights were trained on.
        tag: file name, where nothing else tells two settings apart.
    """

    role: str
    name: str
    network: str
    form: str
    backend: str
    device: str
    precision: str
    width: int
    height: int
    batch: int
    file: str
    file_sha256: str
    weights: str
    tag: str = ""

    @property
    def key(self) -> str:
        """Identifier, equal for the same setting in another run."""
        parts = (self.role, self.network, self.form, self.backend, self.precision, f"{self.width}x{self.height}")
        return " ".join((*parts, f"batch {self.batch}", *filter(None, [self.tag])))

    @property
    def label(self) -> str:
        """Name for people."""
        form = "" if self.form == "restructured" else f" {self.form}"
        tag = f" ({self.tag})" if self.tag else ""
        return f"{self.network}{form}, {BACKEND_NAMES.get(self.backend, self.backend)} {self.precision.upper()}{tag}"

    @property
    def on_processor(self) -> bool:
        """Whether the CPU computes it."""
        return self.device.upper().split(".")[0] == "CPU"


@dataclass(frozen=True)
class Times:
    """Times of one batch.

    Attributes:
        faster_than_paper, faster_than_eager, faster_than_first: speed-up end to end per image, round by round; the last
            is against the first file that was named, on the same backend (and in the same precision where it has that).
        warnings: doubts about the times.
    """

    end_to_end: Distribution
    stages: dict[str, Distribution]
    faster_than_paper: Ratio | None = None
    faster_than_eager: Ratio | None = None
    faster_than_first: Ratio | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """What the machine allows.

    Attributes:
        macs, bytes_moved: work of one image.
        bounds_ms: least time of a stage, for one batch.
        layers: steps of the network as executed.
    """

    macs: int = 0
    bytes_moved: float = 0.0
    bounds_ms: dict[str, float] = field(default_factory=dict)
    layers: tuple[LayerTime, ...] = ()


@dataclass(frozen=True)
class Row:
    """Everything that was measured of one setting; the JSON has it in one flat object."""

    setting: Setting
    times: Times
    limits: Limits = field(default_factory=Limits)
    memory: Memory | None = None
    energy: Energy | None = None
    accuracy: Accuracy | None = None
    throughput: tuple[Throughput, ...] = ()
    sweep: tuple[SweepPoint, ...] = ()

    @property
    def per_image_ms(self) -> float:
        """Median, end to end."""
        return self.times.end_to_end.p50 / self.setting.batch

    def share_of_limit(self, stage: str = "inference") -> float | None:
        """Return the roofline bound over the measured median: 1 would be as fast as the device can."""
        bound, measured = self.limits.bounds_ms.get(stage), self.times.stages.get(stage)
        return bound / measured.p50 if bound and measured and measured.p50 > 0.0 else None

    def to_json(self) -> dict[str, Any]:
        """Return all figures in one flat dictionary."""
        nested = asdict(self)
        parts = [nested.pop(name) for name in ("setting", "times", "limits")]
        return {"key": self.setting.key, **parts[0], **parts[1], **parts[2], **nested}


@dataclass(frozen=True)
class Failure:
    """Something that was asked for and did not run, and why."""

    what: str
    reason: str


@dataclass(frozen=True)
class Estimate:
    """How long a device might take for one image by its published peaks: never measured.

    Attributes:
        device: its name; precision: that its file would have.
        at_best_ms: the roofline bound.
        as_here_ms: that, divided by the share of the bound that this machine reached on the same network.
    """

    device: str
    network: str
    form: str
    precision: str
    at_best_ms: float
    as_here_ms: float | None
    source: str


@dataclass(frozen=True)
class Validation:
    """The same estimate made for this machine, beside what was measured on it.

    Attributes:
        learned_from: the row whose share of the bound was used; it is of another network.
        estimated_ms, measured_ms: inference of one image.
    """

    row: str
    learned_from: str
    estimated_ms: float
    measured_ms: float

    @property
    def error(self) -> float:
        """Relative: +0.1 is an estimate that is 10 % too long."""
        return self.estimated_ms / self.measured_ms - 1.0


@dataclass(frozen=True)
class Report:
    """Everything of one run.

    Attributes:
        created: ISO 8601, UTC.
        command: the shell line that measures this again.
        interrupted: empty, or what was being done when the run was cut off; what follows is then missing.
        frame: `WxH` of the photograph that was given.
        peaks, gpu_peaks: of the processor and the GPU; None where not measured.
        series: samples of each row, for plots and the CSV.
    """

    created: str
    command: str
    interrupted: str
    method: Method
    frame: str
    environment: Environment
    conditions: Conditions | None
    peaks: Peaks | None
    gpu_peaks: Peaks | None
    rows: tuple[Row, ...]
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    estimates: tuple[Estimate, ...] = ()
    validations: tuple[Validation, ...] = ()
    series: tuple[Series, ...] = ()

    @property
    def models(self) -> list[Row]:
        """Rows that were asked for."""
        return [row for row in self.rows if row.setting.role == "model"]

    def fastest(self, network: str | None = None) -> Row | None:
        """Return the fastest of the models, or of one network."""
        rows = [row for row in self.models if network in (None, row.setting.network)]
        return min(rows, key=lambda row: row.per_image_ms, default=None)

    def warnings(self) -> list[str]:
        """All that makes the figures doubtful."""
        said = (
            [f"This run was cut off during {self.interrupted}; what follows it is missing."] if self.interrupted else []
        )
        return [*said, *(self.conditions.warnings() if self.conditions else [])]

    def to_json(self) -> dict[str, Any]:
        """Return everything but the samples; the schema is `schema.json` beside this module."""
        facts = {"schema": SCHEMA, "complete": not self.interrupted, **asdict(replace(self, rows=(), series=()))}
        del facts["series"]
        facts["rows"] = [row.to_json() for row in self.rows]
        facts["validations"] = [{**asdict(item), "error": item.error} for item in self.validations]
        facts["warnings"] = self.warnings()
        return rounded(facts)  # type: ignore[no-any-return]


def row_warnings(samples: Sequence[Sample], end_to_end: Distribution, inference: Distribution) -> tuple[str, ...]:
    """What is doubtful about one row, in plain sentences."""
    said = []
    if end_to_end.samples < 10:
        said.append(f"Only {end_to_end.samples} iterations: percentiles and spread mean little.")
    if inference.cv is not None and inference.cv > LARGEST_CV:
        said.append(f"Unstable: inference varies by {100 * inference.cv:.1f} % (CV; more than {100 * LARGEST_CV:g} %).")
    transfer = fmean(sample.stages.get("transfer", 0.0) for sample in samples)
    enqueue = fmean(sample.enqueue or 0.0 for sample in samples)
    if transfer > inference.mean:
        said.append("Transfer-bound: copying to and from the device takes longer than the network.")
    if enqueue > 0.0 and enqueue > 0.9 * (inference.mean + transfer):
        said.append("Enqueue-bound: the CPU takes as long to give the work as the device to do it; try a CUDA graph.")
    return tuple(said)


def rounded(value: Any) -> Any:
    """Floats to six significant digits, since more is noise; None for not-a-number, which JSON has no word for."""
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value


def write_json(path: Path, report: Report) -> None:
    """Write the figures, whole or not at all."""
    write_text(path, json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n")


def samples_csv(report: Report) -> str:
    """Milliseconds of every counted iteration, one line each; what a backend has no clock for is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "round", *(f"{stage}_ms" for stage in STAGES), "end_to_end_ms"])
    for row, series in zip(report.rows, report.series, strict=True):
        for number, samples in enumerate(series.rounds):
            for sample in samples:
                stages = (sample.stages.get(stage) for stage in STAGES)
                cells = ("" if value is None else f"{value:.4f}" for value in (*stages, sample.end_to_end))
                writer.writerow([row.setting.key, number, *cells])
    return text.getvalue()


def read_json(path: Path) -> dict[str, Any]:
    """The figures of an earlier run.

    Raises:
        InputError: if the file is missing, is no such result, or is of another version of the schema.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise InputError(f"{path} is not a benchmark result: it is no JSON.") from error
    found = raw.get("schema") if isinstance(raw, dict) else None
    if found != SCHEMA:
        raise InputError(f"{path} is not a benchmark result of {SCHEMA}" + (f", but of {found}." if found else "."))
    return dict(raw)
