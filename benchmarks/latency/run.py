"""A whole run: time the contestants, then look closer at them. A run that is cut off keeps its results."""

import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np

from br2net.benchmarks.accuracy.evaluation import evaluate
from br2net.benchmarks.latency.conditions import Conditions, between, snapshot
from br2net.benchmarks.latency.contestants import (
    Contestant,
    Opening,
    Size,
    eager_of,
    find_subjects,
    first_of,
    open_baselines,
    open_models,
    options,
)
from br2net.benchmarks.latency.devices import find_device
from br2net.benchmarks.latency.environment import Environment, read_environment
from br2net.benchmarks.latency.estimate import estimate_devices, validate
from br2net.benchmarks.latency.memory import Memory, MemoryJob, measure_memory
from br2net.benchmarks.latency.peaks import gpu_peaks, measure_peaks
from br2net.benchmarks.latency.power import Energy, find_meter, gpu_limits, measure_energy, open_nvml
from br2net.benchmarks.latency.profiling import profile_openvino, profile_tensorrt
from br2net.benchmarks.latency.record import (
    Accuracy,
    Failure,
    LayerTime,
    Limits,
    Report,
    Row,
    SweepPoint,
    Throughput,
    Times,
    row_warnings,
)
from br2net.benchmarks.latency.roofline import Peaks, stage_bounds
from br2net.benchmarks.latency.statistics import Ratio, describe, speed_up
from br2net.benchmarks.latency.throughput import measure_point, measure_throughput
from br2net.benchmarks.latency.timing import STAGES, Method, time_interleaved
from br2net.builder.comparison import packaged_photograph
from br2net.datasets import Pair
from br2net.errors import BackendError, Br2netError, InputError
from br2net.runtime.backend import Backend
from br2net.runtime.backends import open_backend
from br2net.types import Frame

FOLDERS = re.compile(r"(?<![\w:/.])/(?:[^\s/]+/)+(?=[^\s/])")  # of an absolute path; an address is none
SHORT = 0.2  # of the seconds of the main timing, for one point of a sweep or one number of streams
OPENING = "opening the models"


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        subjects: what the command line names, and the file that each means (None for a network by name).
        forms: forms to export, where there are weights; empty for files as they are.
        backend, precision: `all`, or one.
        sizes: `(width, height)`, or None for each file's own; the first is the one that rows have, the others are swept.
        batches: batch sizes; the first is the one that rows have, the others are swept.
        streams: numbers of streams to measure throughput with.
        threads: CPU threads; 0 for all.
        frame: `(width, height)` of the photograph that is given.
        baseline: whether to time the paper's configuration and each network in PyTorch eager.
        details: whether to measure peaks, memory, energy and single layers.
        pairs: photographs and masks for accuracy; empty for none.
        dataset: name of the data set.
        devices: devices to estimate.
        command: shell line of this run.
    """

    subjects: tuple[tuple[str, Path | None], ...]
    forms: tuple[str, ...] = ()
    backend: str = "all"
    precision: str = "all"
    device: str = "auto"
    sizes: tuple[Size | None, ...] = (None,)
    batches: tuple[int, ...] = (1,)
    streams: tuple[int, ...] = ()
    threads: int = 0
    frame: Size = (1280, 720)
    method: Method = field(default_factory=Method)
    baseline: bool = True
    details: bool = True
    pairs: tuple[Pair, ...] = ()
    dataset: str = ""
    devices: tuple[str, ...] = ()
    command: str = ""

    def __post_init__(self) -> None:
        if not self.sizes or not self.batches or min(self.batches) < 1 or min(self.streams, default=1) < 1:
            raise InputError("There must be a size and a batch size; batch sizes and numbers of streams start at 1.")
        if min(self.frame) < 32:
            raise InputError(f"A frame of {self.frame[0]}x{self.frame[1]} is too small.")
        for name in self.devices:
            find_device(name)


@dataclass(frozen=True)
class Bench:
    """Everything that the steps of a run need.

    Attributes:
        progress: is called with what is being done.
    """

    plan: Plan
    opening: Opening
    environment: Environment
    contestants: Sequence[Contestant]
    progress: Callable[[str], None]

    @property
    def timed(self) -> list[Contestant]:
        """Contestants that have samples."""
        return [item for item in self.contestants if item.series.samples]

    def fastest_of_each_file(self) -> list[Contestant]:
        """Return the fastest model of each file: the one worth a closer look."""
        models = sorted(
            (item for item in self.timed if item.setting.role == "model"), key=lambda item: item.per_image_ms
        )
        fastest = {item.subject.path: item for item in reversed(models)}
        return [item for item in self.timed if fastest.get(item.subject.path) is item]


@dataclass
class Findings:
    """Results so far beside the times; dictionaries are by key of the setting."""

    conditions: Conditions | None = None
    peaks: Peaks | None = None
    gpu_peaks: Peaks | None = None
    layers: dict[str, tuple[LayerTime, ...]] = field(default_factory=dict)
    memory: dict[str, Memory | None] = field(default_factory=dict)
    energy: dict[str, Energy] = field(default_factory=dict)
    accuracy: dict[str, Accuracy] = field(default_factory=dict)
    throughput: defaultdict[str, list[Throughput]] = field(default_factory=lambda: defaultdict(list))
    sweep: defaultdict[str, list[SweepPoint]] = field(default_factory=lambda: defaultdict(list))
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def peaks_of(self, own: Contestant) -> Peaks | None:
        """Return the peaks of the device that computes it."""
        return self.peaks if own.setting.on_processor else self.gpu_peaks


def run_benchmark(
    plan: Plan, progress: Callable[[str], None] = lambda _: None, keep: Callable[[Report], None] = lambda _: None
) -> Report:
    """Measure; Ctrl-C ends it early, and the report so far comes back marked.

    Args:
        plan: what to measure.
        progress: called with what is being done.
        keep: called with the report so far before every step after the timing, marked as cut off during that step, so that
            it is there even if the process is killed.

    Raises:
        Br2netError: if nothing of what was asked for runs here; the first reason.
    """
    photograph = cv2.resize(packaged_photograph(), plan.frame, interpolation=cv2.INTER_AREA)
    frames = [np.asarray(photograph, dtype=np.uint8)] * plan.batches[0]
    environment, found = read_environment(), Findings()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="br2net-benchmark-")))
        opening = Opening(plan.device, plan.threads, plan.sizes[0], frames, folder)
        progress(OPENING)
        try:
            contestants = _open(plan, opening, found, progress, stack)
        except KeyboardInterrupt:
            return make_report(Bench(plan, opening, environment, (), progress), found, OPENING)
        bench = Bench(plan, opening, environment, contestants, progress)
        for name, step in _steps(plan):
            progress(name)
            try:
                if bench.timed:
                    keep(make_report(bench, found, name))
                step(bench, found)
            except KeyboardInterrupt:
                return make_report(bench, found, name)
            except (Br2netError, OSError, RuntimeError, MemoryError) as error:
                if not bench.timed:  # without times there is nothing to keep
                    raise
                found.failures.append(Failure(name, f"{type(error).__name__}: {error}"))
        return make_report(bench, found)


def _steps(plan: Plan) -> Iterator[tuple[str, Callable[[Bench, Findings], None]]]:
    if plan.details:
        yield "measuring the machine's peaks", _measure_peaks
    yield "timing", _time
    if plan.details:
        yield "timing single layers", _time_layers
        yield "measuring memory", _measure_memory
        yield "measuring energy", _measure_energy
    yield "measuring streams", _measure_streams
    yield "sweeping batch and input sizes", _sweep
    yield "measuring accuracy", _measure_accuracy
    if plan.details:
        yield "measuring the machine's peaks again", _measure_peaks


def _open(
    plan: Plan, opening: Opening, found: Findings, progress: Callable[[str], None], stack: ExitStack
) -> list[Contestant]:
    subjects = []
    for text, path in plan.subjects:
        progress(f"preparing {text}")
        subjects += find_subjects(text, path, plan.forms, opening.folder, opening.size)
    models, failures = open_models(subjects, plan.backend, plan.precision, opening, stack)
    found.failures += failures
    if not models:
        raise BackendError(f"Nothing of this runs here: {failures[0].what}: {failures[0].reason}")
    if not plan.baseline:
        return models
    baselines, notes = open_baselines(models, opening, stack)
    found.notes += notes
    return [*baselines, *models]


def _measure_peaks(bench: Bench, found: Findings) -> None:
    """Measure the peaks; of two measurements the better one counts, since disturbances can only make it slower."""
    fresh = measure_peaks()
    found.peaks = fresh if found.peaks is None else found.peaks.merged(fresh)
    if bench.environment.gpu:
        found.gpu_peaks = gpu_peaks(bench.environment.gpu)


def _time(bench: Bench, found: Findings) -> None:
    before, nvml = snapshot(), open_nvml()
    try:
        time_interleaved(
            [item.run for item in bench.contestants],
            bench.plan.method,
            [item.series for item in bench.contestants],
            lambda done: bench.progress(f"timing, round {done}"),
        )
    finally:
        limits = () if nvml is None else gpu_limits(nvml)
        found.conditions = between(before, snapshot(), bench.environment.cores, limits)


def _time_layers(bench: Bench, found: Findings) -> None:
    for own in bench.fastest_of_each_file():
        setting, peaks = own.setting, found.peaks_of(own)
        if setting.backend not in ("openvino", "tensorrt") or own.work is None or peaks is None:
            continue
        bench.progress(f"timing the layers of {setting.label}")
        shape = (setting.batch, 3, setting.height, setting.width)
        if setting.backend == "tensorrt":
            layers = profile_tensorrt(own.subject.path, shape, own.work, peaks)
        else:
            wanted = options(own.variant, bench.plan.device, bench.plan.threads)
            layers = profile_openvino(own.subject.path, wanted, shape, own.work, peaks)
        found.layers[setting.key] = layers


def _measure_memory(bench: Bench, found: Findings) -> None:
    for own in bench.timed:
        setting = own.setting
        bench.progress(f"measuring memory of {setting.label}")
        job = MemoryJob(
            str(own.subject.path),
            setting.backend,
            bench.plan.device if setting.role == "model" else "auto",
            own.variant.precision,
            setting.width,
            setting.height,
            setting.batch,
            bench.plan.threads,
        )
        found.memory[setting.key] = measure_memory(job)


def _measure_energy(bench: Bench, found: Findings) -> None:
    meter, reason = find_meter()
    if meter is None:
        found.notes.append(f"Power and energy are unknown: {reason}.")
        return
    for own in bench.timed:
        found.energy[own.setting.key] = measure_energy(meter, own.run, len(own.frames))


def _measure_streams(bench: Bench, found: Findings) -> None:
    threads = bench.plan.threads or bench.environment.cores
    seconds = max(bench.plan.method.seconds * SHORT * 2, 0.5)
    for own in bench.fastest_of_each_file() if bench.plan.streams else ():
        for count in bench.plan.streams:
            bench.progress(f"measuring {count} streams of {own.setting.label}")
            each = max(threads // count, 1)
            try:
                with ExitStack() as stack:
                    backends = _side_by_side(bench, own, count, each, stack)
                    found.throughput[own.setting.key].append(measure_throughput(backends, own.frames, each, seconds))
            except Br2netError as error:
                found.failures.append(Failure(f"{own.setting.label}, {count} streams", str(error)))


def _side_by_side(bench: Bench, own: Contestant, count: int, threads_each: int, stack: ExitStack) -> list[Backend]:
    """Open a backend for each of several streams: one model for all where that can be, else one for each."""
    size = (own.setting.width, own.setting.height)
    path, name, device = own.subject.path, own.variant.backend, bench.plan.device
    wanted = replace(options(own.variant, device, bench.plan.threads, size), streams=count)
    shared = stack.enter_context(open_backend(path, name, wanted))
    if shared.concurrency >= count:
        return [shared] * count
    shared.close()
    single = options(own.variant, device, threads_each, size)
    return [stack.enter_context(open_backend(path, name, single)) for _ in range(count)]


def _sweep(bench: Bench, found: Findings) -> None:
    sizes, batches = bench.plan.sizes, bench.plan.batches
    if len(sizes) < 2 and len(batches) < 2:
        return
    for own in bench.fastest_of_each_file():
        setting = own.setting
        own_size = (setting.width, setting.height)
        for size in dict.fromkeys([own_size, *(item or own_size for item in sizes)]):
            for batch in batches if size == own_size else batches[:1]:
                what = f"{setting.label}, {size[0]}x{size[1]}, batch {batch}"
                bench.progress(f"sweeping {what}")
                try:
                    found.sweep[setting.key].append(_point(bench, own, size, batch))
                except Br2netError as error:
                    found.failures.append(Failure(what, str(error)))


def _point(bench: Bench, own: Contestant, size: Size, batch: int) -> SweepPoint:
    plan, subject = bench.plan, own.subject
    iterations, seconds = max(plan.method.iterations // 3, 1), plan.method.seconds * SHORT
    if subject.checkpoint and subject.path.suffix == ".onnx" and size != (own.setting.width, own.setting.height):
        forms = (own.setting.form,)
        subject = find_subjects(subject.name, subject.checkpoint, forms, bench.opening.folder, size)[-1]
    wanted = options(own.variant, plan.device, plan.threads, size)
    frames: list[Frame] = [own.frames[0]] * batch
    with open_backend(subject.path, own.variant.backend, wanted) as backend:
        return measure_point(backend, frames, Method(plan.method.warm_up, iterations, seconds))


def _measure_accuracy(bench: Bench, found: Findings) -> None:
    for own in bench.timed if bench.plan.pairs else ():
        setting = own.setting
        if setting.role != "model":
            continue
        if setting.weights.startswith("none"):
            found.notes.append(f"{setting.network} has random weights here, so it has no accuracy.")
            continue
        bench.progress(f"measuring the accuracy of {setting.label}")
        summary = evaluate(own.backend, bench.plan.pairs).summary
        found.accuracy[setting.key] = Accuracy(bench.plan.dataset, summary.images, summary.mae, summary.blurred.max_f)


def make_report(bench: Bench, found: Findings, interrupted: str = "") -> Report:
    """Put the results so far together.

    Raises:
        BackendError: if no model was timed, though the run was not cut off.
    """
    plan = bench.plan
    rows = [_row(own, bench, found) for own in bench.timed]
    models = [row for row in rows if row.setting.role == "model"]
    if not models and not interrupted:
        raise BackendError("Nothing was measured.")
    works = {own.setting.key: own.work for own in bench.timed if own.work is not None} if plan.details else {}

    def without_folders(text: str) -> str:  # a report is shown to others, unlike a terminal
        for path in (path for _, path in plan.subjects if path is not None):
            text = text.replace(str(path), path.name)
        return FOLDERS.sub("", text)

    return Report(
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=plan.command,
        interrupted=interrupted,
        method=plan.method,
        frame=f"{plan.frame[0]}x{plan.frame[1]}",
        environment=bench.environment,
        conditions=found.conditions,
        peaks=found.peaks,
        gpu_peaks=found.gpu_peaks,
        rows=tuple(rows),
        failures=tuple(Failure(item.what, without_folders(item.reason)) for item in found.failures),
        notes=tuple(dict.fromkeys(map(without_folders, found.notes))),
        estimates=estimate_devices(plan.devices, models, works),
        validations=() if found.peaks is None else validate(rows, works, found.peaks),
        series=tuple(own.series for own in bench.timed),
    )


def _row(own: Contestant, bench: Bench, found: Findings) -> Row:
    samples, key = own.series.samples, own.setting.key
    end_to_end = describe([sample.end_to_end for sample in samples])
    stages = {
        name: describe([sample.stages[name] for sample in samples]) for name in STAGES if name in samples[0].stages
    }
    paper = next((item for item in bench.contestants if item.setting.role == "paper"), None)
    times = Times(
        end_to_end,
        stages,
        faster_than_paper=_faster(own, paper),
        faster_than_eager=_faster(own, eager_of(own, bench.contestants)),
        faster_than_first=_faster(own, first_of(own, bench.contestants)),
        warnings=row_warnings(samples, end_to_end, stages["inference"]),
    )
    return Row(
        own.setting,
        times,
        _limits(own, bench.plan, found) if bench.plan.details else Limits(),
        memory=found.memory.get(key),
        energy=found.energy.get(key),
        accuracy=found.accuracy.get(key),
        throughput=tuple(found.throughput[key]),
        sweep=tuple(found.sweep[key]),
    )


def _limits(own: Contestant, plan: Plan, found: Findings) -> Limits:
    setting, work, peaks = own.setting, own.work, found.peaks_of(own)
    rest = "fp32" if found.peaks is None else found.peaks.rest
    macs = 0 if work is None else work.macs
    moved = 0.0 if work is None else work.bytes_moved(setting.precision, rest, setting.batch)
    if peaks is None:
        return Limits(macs, moved)
    size = (setting.width, setting.height)
    bounds = stage_bounds(size, plan.frame, setting.batch, setting.precision, work, peaks)
    layers = (
        replace(layer, bound_ms=peaks.bound_ms(layer.macs, layer.bytes_moved, layer.precision))
        for layer in found.layers.get(setting.key, ())
    )
    return Limits(macs, moved, bounds, tuple(layers))


def _faster(own: Contestant, base: Contestant | None) -> Ratio | None:
    """Return how many times as fast as `base` it is, per image, from the rounds that both have."""
    if base is None or base is own or not base.series.samples:
        return None
    slow, fast = ([value / len(item.frames) for value in item.series.medians()] for item in (base, own))
    return speed_up(slow, fast)
