"""A whole run: time, then look closer at what was timed. What there is when it is cut off is kept."""

import re
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from br2net.benchmarks.accuracy.evaluation import evaluate
from br2net.benchmarks.latency.conditions import Conditions, between, snapshot
from br2net.benchmarks.latency.devices import find_device
from br2net.benchmarks.latency.entries import Entry, Opening, eager_of, first_of, open_baselines, open_models
from br2net.benchmarks.latency.environment import read_environment
from br2net.benchmarks.latency.estimate import estimate_devices, validate
from br2net.benchmarks.latency.gpu_peaks import gpu_peaks
from br2net.benchmarks.latency.limits import counted, with_bounds
from br2net.benchmarks.latency.memory import Request, measure_memory
from br2net.benchmarks.latency.peaks import measure_peaks
from br2net.benchmarks.latency.pipeline import STAGES
from br2net.benchmarks.latency.power import find_meter, gpu_limits, measure_energy, open_nvml
from br2net.benchmarks.latency.profiling import profile_openvino
from br2net.benchmarks.latency.profiling_tensorrt import profile_tensorrt
from br2net.benchmarks.latency.record import (
    Accuracy,
    Failure,
    Report,
    Row,
    SweepPoint,
    Throughput,
    row_warnings,
    told_apart,
)
from br2net.benchmarks.latency.roofline import Peaks
from br2net.benchmarks.latency.statistics import Ratio, describe, speed_up
from br2net.benchmarks.latency.streams import measure_point, measure_throughput
from br2net.benchmarks.latency.subjects import file_hash, find_subjects, options
from br2net.benchmarks.latency.timing import Method, time_interleaved
from br2net.benchmarks.latency.work import Work
from br2net.builder.comparison import packaged_photograph
from br2net.datasets.pairs import Pair
from br2net.errors import BackendError, Br2netError, InputError
from br2net.runtime.backend import Backend
from br2net.runtime.backends import open_backend
from br2net.runtime.preprocessing import preprocess

FOLDERS = re.compile(r"(?<![\w:/.])/(?:[^\s/]+/)+(?=[^\s/])")  # of an absolute path; an address is none
SHORT = 0.2  # of the seconds of the main timing, for one point of a sweep or one number of streams


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        subjects: what the command line names, and the file that each means (None for a network by name).
        forms: to export, where there are weights; empty for files as they are.
        backend, precision: `all`, or one.
        sizes: `(width, height)`, or None for each file's own; the first is the one that rows have, the others are swept.
        batches: likewise.
        streams: numbers of streams to measure throughput with.
        threads: of the processor; 0 for all.
        frame: `(width, height)` of the photograph that is given.
        baseline: whether to time the paper's configuration and each network in PyTorch eager.
        details: whether to measure peaks, memory, energy and single layers.
        pairs: photographs and masks for accuracy; empty for none. dataset: what they are called.
        devices: to estimate.
        command: the shell line of this run.
    """

    subjects: tuple[tuple[str, Path | None], ...]
    forms: tuple[str, ...] = ()
    backend: str = "all"
    precision: str = "all"
    device: str = "auto"
    sizes: tuple[tuple[int, int] | None, ...] = (None,)
    batches: tuple[int, ...] = (1,)
    streams: tuple[int, ...] = ()
    threads: int = 0
    frame: tuple[int, int] = (1280, 720)
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


def run_benchmark(
    plan: Plan, progress: Callable[[str], None] = lambda _: None, keep: Callable[[Report], None] = lambda _: None
) -> Report:
    """Measure; Ctrl-C ends it early, and what there is comes back marked.

    Args:
        plan: what to measure.
        progress: called with what is being done.
        keep: called with what there is after every step from the timing on, marked as cut off during the next one, so that a
            run which ends in the worst way leaves that.

    Raises:
        Br2netError: if nothing of what was asked for runs here; the first reason.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="br2net-benchmark-")))
        return _Run(plan, folder, stack, progress).go(keep)


class _Run:
    """The steps of one run, and what they found so far."""

    def __init__(self, plan: Plan, folder: Path, stack: ExitStack, progress: Callable[[str], None]) -> None:
        self.plan, self.folder, self.stack, self.progress = plan, folder, stack, progress
        self.environment = read_environment()
        photograph = cv2.resize(packaged_photograph(), plan.frame, interpolation=cv2.INTER_AREA)
        self.frame: NDArray[np.uint8] = np.asarray(photograph, dtype=np.uint8)
        self.entries: list[Entry] = []
        self.timed: list[Entry] = []
        self.rows: list[Row] = []
        self.failures: list[Failure] = []
        self.notes: list[str] = []
        self.works: dict[str, Work] = {}
        self.peaks: Peaks | None = None
        self.gpu: Peaks | None = None
        self.conditions: Conditions | None = None

    def go(self, keep: Callable[[Report], None]) -> Report:
        steps: list[tuple[str, Callable[[], None]]] = [("opening the models", self._open)]
        if self.plan.details:
            steps.append(("measuring the machine's peaks", self._measure_peaks))
        steps.append(("timing", self._time))
        if self.plan.details:
            steps += [
                ("counting the work", self._bounds),
                ("timing single layers", self._layers),
                ("measuring memory", self._memory),
                ("measuring energy", self._energy),
            ]
        steps += [
            ("measuring streams", self._streams),
            ("sweeping batch and input sizes", self._sweep),
            ("measuring accuracy", self._accuracy),
        ]
        if self.plan.details:
            steps.append(("measuring the machine's peaks again", self._measure_peaks))
        interrupted = ""
        for name, step in steps:
            self.progress(name)
            try:
                if self.rows:
                    keep(self._report(name))
                step()
            except KeyboardInterrupt:
                interrupted = name
                break
            except (Br2netError, OSError, RuntimeError, MemoryError) as error:
                if not self.rows:  # without times there is nothing to keep
                    raise
                self.failures.append(Failure(name, f"{type(error).__name__}: {error}"))
        return self._report(interrupted)

    def _open(self) -> None:
        plan = self.plan
        size = plan.sizes[0]
        opening = Opening(plan.device, plan.threads, size, [self.frame] * plan.batches[0], self.folder)
        subjects = []
        for text, path in plan.subjects:
            self.progress(f"preparing {text}")
            subjects += find_subjects(text, path, plan.forms, self.folder, size)
        models, self.failures = open_models(subjects, plan.backend, plan.precision, opening, self.stack)
        if not models:
            raise BackendError(f"Nothing of this runs here: {self.failures[0].what}: {self.failures[0].reason}")
        baselines: list[Entry] = []
        if plan.baseline:
            baselines, self.notes = open_baselines(models, opening, self.stack)
        self.entries = [*baselines, *models]

    def _measure_peaks(self) -> None:
        fresh = measure_peaks()
        self.peaks = fresh if self.peaks is None else self.peaks.merged(fresh)
        if self.environment.gpu:
            self.gpu = gpu_peaks(self.environment.gpu)

    def _time(self) -> None:
        before = snapshot()
        nvml = open_nvml()
        try:
            time_interleaved(
                [entry.pipeline for entry in self.entries],
                self.plan.method,
                [entry.series for entry in self.entries],
                lambda done: self.progress(f"timing, round {done}"),
            )
        finally:
            limits = () if nvml is None else gpu_limits(nvml)
            self.conditions = between(before, snapshot(), self.environment.cores, limits)
            self.timed = [entry for entry in self.entries if entry.series.samples]
            self.rows = told_apart([self._row(entry) for entry in self.timed])

    def _row(self, entry: Entry) -> Row:
        backend, facts = entry.backend, entry.backend.metadata
        samples = entry.series.samples
        end_to_end = describe([sample.end_to_end for sample in samples])
        stages = {
            name: describe([sample.stages[name] for sample in samples]) for name in STAGES if name in samples[0].stages
        }
        paper = next((item for item in self.entries if item.role == "paper"), None)
        eager = eager_of(entry, self.entries)
        return Row(
            role=entry.role,
            name=entry.subject.name,
            network=facts.name,
            form=facts.form,
            backend=backend.name,
            device=backend.device,
            precision=backend.precision,
            width=backend.width,
            height=backend.height,
            batch=len(entry.pipeline.frames),
            file=entry.subject.path.name,
            file_sha256=file_hash(entry.subject.path),
            weights=facts.training_data,
            end_to_end=end_to_end,
            stages=stages,
            faster_than_paper=_faster(entry, paper),
            faster_than_eager=_faster(entry, eager),
            faster_than_first=_faster(entry, first_of(entry, self.entries)),
            warnings=row_warnings(samples, end_to_end, stages["inference"]),
        )

    def _bounds(self) -> None:
        """The work of each row; bounds come at the end, with the better of two measurements of the peaks."""
        for index, entry in enumerate(self.timed):
            work = counted(entry)
            if work is None:
                continue
            row = self.rows[index]
            self.works[row.key] = work
            rest = "fp32" if self.peaks is None else self.peaks.rest
            moved = work.bytes_moved(row.precision, rest, row.batch)
            self.rows[index] = replace(row, macs=work.macs, bytes_moved=moved)

    def _layers(self) -> None:
        for index in self._fastest_of_each_file():
            entry, row = self.timed[index], self.rows[index]
            work, peaks = self.works.get(row.key), self.peaks if _on_processor(row) else self.gpu
            if row.backend not in ("openvino", "tensorrt") or work is None or peaks is None:
                continue
            self.progress(f"timing the layers of {row.label}")
            batch = preprocess(entry.pipeline.frames, row.width, row.height, entry.backend.metadata.normalisation)
            if row.backend == "tensorrt":
                layers = profile_tensorrt(entry.subject.path, batch, work, peaks)
            else:
                wanted = options(entry.variant, self.plan.device, self.plan.threads)
                layers = profile_openvino(entry.subject.path, wanted, batch, work, peaks)
            self.rows[index] = replace(row, layers=layers)

    def _memory(self) -> None:
        for index, (entry, row) in enumerate(zip(self.timed, self.rows, strict=True)):
            self.progress(f"measuring memory of {row.label}")
            request = Request(
                str(entry.subject.path),
                row.backend,
                self.plan.device if row.role == "model" else "auto",
                entry.variant.precision,
                row.width,
                row.height,
                row.batch,
                self.plan.threads,
            )
            self.rows[index] = replace(row, memory=measure_memory(request))

    def _energy(self) -> None:
        meter, reason = find_meter()
        if meter is None:
            self.notes.append(f"Power and energy are unknown: {reason}.")
            return
        for index, entry in enumerate(self.timed):
            energy = measure_energy(meter, entry.pipeline.run, len(entry.pipeline.frames))
            self.rows[index] = replace(self.rows[index], energy=energy)

    def _streams(self) -> None:
        threads = self.plan.threads or self.environment.cores
        for index in self._fastest_of_each_file() if self.plan.streams else ():
            entry = self.timed[index]
            found: list[Throughput] = []
            for count in self.plan.streams:
                self.progress(f"measuring {count} streams of {self.rows[index].label}")
                try:
                    with ExitStack() as stack:
                        backends = self._side_by_side(entry, count, threads, stack)
                        seconds = max(self.plan.method.seconds * SHORT * 2, 0.5)
                        each = max(threads // count, 1)
                        found.append(measure_throughput(backends, entry.pipeline.frames, each, seconds))
                except Br2netError as error:
                    self.failures.append(Failure(f"{self.rows[index].label}, {count} streams", str(error)))
                self.rows[index] = replace(self.rows[index], throughput=tuple(found))

    def _sweep(self) -> None:
        plan = self.plan
        for index in self._fastest_of_each_file():
            entry, row = self.timed[index], self.rows[index]
            points: list[SweepPoint] = []
            own = (row.width, row.height)
            for size in dict.fromkeys([own, *(item or own for item in plan.sizes)]):
                for batch in plan.batches if size == own else plan.batches[:1]:
                    if (size, batch) == (own, row.batch) and len(plan.sizes) < 2 and len(plan.batches) < 2:
                        continue
                    self.progress(f"sweeping {row.label}: {size[0]}x{size[1]}, batch {batch}")
                    try:
                        points.append(self._point(entry, size, batch))
                    except Br2netError as error:
                        what = f"{row.label}, {size[0]}x{size[1]}, batch {batch}"
                        self.failures.append(Failure(what, str(error)))
                    self.rows[index] = replace(self.rows[index], sweep=tuple(points))

    def _point(self, entry: Entry, size: tuple[int, int], batch: int) -> SweepPoint:
        method = replace(
            self.plan.method,
            iterations=max(self.plan.method.iterations // 3, 1),
            seconds=self.plan.method.seconds * SHORT,
        )
        subject, form = entry.subject, entry.backend.metadata.form
        own = (entry.backend.width, entry.backend.height)
        if subject.checkpoint is not None and subject.path.suffix == ".onnx" and size != own:
            subject = find_subjects(subject.name, subject.checkpoint, (form,), self.folder, size)[-1]
        wanted = options(entry.variant, self.plan.device, self.plan.threads, size)
        with open_backend(subject.path, entry.variant.backend, wanted) as backend:
            return measure_point(backend, [self.frame] * batch, method)

    def _accuracy(self) -> None:
        for index, entry in enumerate(self.timed):
            row = self.rows[index]
            if not self.plan.pairs or row.role != "model":
                continue
            if row.weights.startswith("none"):
                self.notes.append(f"{row.network} has random weights here, so it has no accuracy.")
                continue
            self.progress(f"measuring the accuracy of {row.label}")
            summary = evaluate(entry.backend, self.plan.pairs).summary
            accuracy = Accuracy(self.plan.dataset, summary.images, summary.mae, summary.blurred.max_f)
            self.rows[index] = replace(row, accuracy=accuracy)

    def _side_by_side(self, entry: Entry, count: int, threads: int, stack: ExitStack) -> list[Backend]:
        """A backend for each of several streams: one model for all where that can be, else one for each."""
        size = (entry.backend.width, entry.backend.height)
        path, name = entry.subject.path, entry.variant.backend
        wanted = replace(options(entry.variant, self.plan.device, self.plan.threads, size), streams=count)
        shared = stack.enter_context(open_backend(path, name, wanted))
        if shared.concurrency >= count:
            return [shared] * count
        shared.close()
        own = options(entry.variant, self.plan.device, max(threads // count, 1), size)
        return [stack.enter_context(open_backend(path, name, own)) for _ in range(count)]

    def _fastest_of_each_file(self) -> list[int]:
        """Index of the fastest row of each file: the one worth a closer look."""
        found: dict[Path, int] = {}
        for index, (entry, row) in enumerate(zip(self.timed, self.rows, strict=True)):
            if row.role != "model":
                continue
            best = found.get(entry.subject.path)
            if best is None or row.per_image_ms < self.rows[best].per_image_ms:
                found[entry.subject.path] = index
        return list(found.values())

    def _without_folders(self, text: str) -> str:
        """A sentence that names files without their folders: a report is shown to others, a terminal is not."""
        for _, path in self.plan.subjects:
            if path is not None:
                text = text.replace(str(path), path.name)
        return FOLDERS.sub("", text)

    def _report(self, interrupted: str) -> Report:
        rows = [
            with_bounds(row, self.works.get(row.key), self.peaks if _on_processor(row) else self.gpu, self.plan.frame)
            for row in self.rows
        ]
        if not any(row.role == "model" for row in rows) and not interrupted:
            raise BackendError("Nothing was measured.")
        estimates = estimate_devices(self.plan.devices, [row for row in rows if row.role == "model"], self.works)
        validations = () if self.peaks is None else validate(rows, self.works, self.peaks)
        return Report(
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            command=self.plan.command,
            interrupted=interrupted,
            method=self.plan.method,
            frame=f"{self.plan.frame[0]}x{self.plan.frame[1]}",
            environment=self.environment,
            conditions=self.conditions,
            peaks=self.peaks,
            gpu_peaks=self.gpu,
            rows=tuple(rows),
            failures=tuple(replace(item, reason=self._without_folders(item.reason)) for item in self.failures),
            notes=tuple(dict.fromkeys(map(self._without_folders, self.notes))),
            estimates=estimates,
            validations=validations,
            series=tuple(entry.series for entry in self.timed),
        )


def _faster(entry: Entry, base: Entry | None) -> Ratio | None:
    """How many times as fast as `base` it is, per image, from the rounds that both have."""
    if base is None or base is entry or not base.series.samples:
        return None
    slow, fast = ([value / len(item.pipeline.frames) for value in item.series.medians()] for item in (base, entry))
    return speed_up(slow, fast)


def _on_processor(row: Row) -> bool:
    return row.device.upper().split(".")[0] == "CPU"
