"""The contestants of a run: every file on every backend that runs it here, and what they are compared with."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from br2net.benchmarks.latency.pipeline import Pipeline
from br2net.benchmarks.latency.record import BACKEND_NAMES, Failure
from br2net.benchmarks.latency.subjects import (
    PAPER,
    Subject,
    Variant,
    checkpoint_of_config,
    options,
    random_checkpoint,
    variants,
)
from br2net.benchmarks.latency.timing import Series
from br2net.errors import Br2netError, InputError, MissingDependencyError
from br2net.runtime.backend import Backend
from br2net.runtime.backends import open_backend

PAPER_SIZE = (320, 320)


@dataclass
class Entry:
    """One contestant: its file, how it is run, and what it took so far."""

    role: str
    subject: Subject
    variant: Variant
    backend: Backend
    pipeline: Pipeline
    series: Series = field(default_factory=Series)

    @property
    def same_network(self) -> tuple[str, int, int]:
        """What an eager baseline has to share with it."""
        return self.backend.metadata.architecture, self.backend.width, self.backend.height


@dataclass(frozen=True)
class Opening:
    """How contestants are opened.

    Attributes:
        size: `(width, height)` of the input; None for each file's own.
        frames: of one batch.
        folder: for checkpoints that have to be written.
    """

    device: str
    threads: int
    size: tuple[int, int] | None
    frames: list[NDArray[np.uint8]]
    folder: Path


def open_models(
    subjects: Sequence[Subject], backend: str, precision: str, opening: Opening, stack: ExitStack
) -> tuple[list[Entry], list[Failure]]:
    """Open every file on every backend that was asked for; what does not run is told, and the others go on.

    A backend that comes out at the same precision twice is run once. `stack` closes what was opened.
    """
    entries: list[Entry] = []
    failures: list[Failure] = []
    for subject in subjects:
        for variant in variants(subject.path, backend, precision):
            what = f"{subject.name} ({subject.path.name}), {BACKEND_NAMES.get(variant.backend, variant.backend)}"
            try:
                entry = _open("model", subject, variant, opening, stack)
            except Br2netError as error:
                skipped = backend == "all" and isinstance(error, MissingDependencyError | InputError)
                optional = skipped and any(item.subject == subject for item in entries)
                failures.append(Failure(what, f"{error}{' (Others ran.)' if optional else ''}"))
                continue
            if any(_same(entry, other) for other in entries):
                entry.backend.close()
            else:
                entries.append(entry)
    return entries, failures


def open_baselines(models: Sequence[Entry], opening: Opening, stack: ExitStack) -> tuple[list[Entry], list[str]]:
    """Open the paper's configuration, and each model's own network in PyTorch eager; gives notes on what is missing."""
    try:
        checkpoint = random_checkpoint(PAPER, opening.folder)
        paper = _open_torch("paper", PAPER, checkpoint, PAPER_SIZE, opening, stack)
    except (MissingDependencyError, ModuleNotFoundError):
        return [], ["There is no baseline: PyTorch is not installed here, and the paper's configuration runs in it."]
    found, notes = [paper], []
    for architecture, width, height in dict.fromkeys(entry.same_network for entry in models):
        if (architecture, width, height) == paper.same_network:
            continue
        twins = [entry for entry in models if entry.same_network == (architecture, width, height)]
        if any(entry.backend.name == "torch" for entry in twins):
            continue
        name = twins[0].backend.metadata.name
        if not _is_ours(twins[0].backend):
            notes.append(f"{name} has no baseline of its own in PyTorch: the file does not say what its network is.")
            continue
        weights = next((entry.subject.checkpoint for entry in twins if entry.subject.checkpoint), None)
        weights = weights or checkpoint_of_config(
            architecture, name, opening.folder / f"eager-{len(found)}.pth", (width, height)
        )
        found.append(_open_torch("eager", name, weights, (width, height), opening, stack))
    return found, notes


def eager_of(entry: Entry, entries: Sequence[Entry]) -> Entry | None:
    """The contestant that runs the same network at the same size in PyTorch eager."""
    twins = (item for item in entries if item.backend.name == "torch" and item.same_network == entry.same_network)
    return next(twins, None)


def first_of(entry: Entry, entries: Sequence[Entry]) -> Entry | None:
    """The first file on the same backend, in the same precision if it can; None for the first file itself."""
    models = [item for item in entries if item.role == "model"]
    if not models or entry.role != "model" or entry.subject.path == models[0].subject.path:
        return None
    rivals = [
        item
        for item in models
        if item.subject.path == models[0].subject.path and item.backend.name == entry.backend.name
    ]
    return next(
        (item for item in rivals if item.backend.precision == entry.backend.precision), next(iter(rivals), None)
    )


def _open(role: str, subject: Subject, variant: Variant, opening: Opening, stack: ExitStack) -> Entry:
    wanted = options(variant, opening.device, opening.threads, opening.size)
    backend = stack.enter_context(open_backend(subject.path, variant.backend, wanted))
    return Entry(role, subject, variant, backend, Pipeline(backend, opening.frames))


def _open_torch(
    role: str, name: str, checkpoint: Path, size: tuple[int, int], opening: Opening, stack: ExitStack
) -> Entry:
    variant = Variant("torch", "auto")
    backend = open_backend(checkpoint, "torch", options(variant, "auto", opening.threads, size))
    stack.enter_context(backend)
    return Entry(role, Subject(name, checkpoint, checkpoint), variant, backend, Pipeline(backend, opening.frames[:1]))


def _same(one: Entry, other: Entry) -> bool:
    def facts(entry: Entry) -> tuple[Path, str, str]:
        return entry.subject.path, entry.backend.name, entry.backend.precision

    return facts(one) == facts(other)


def _is_ours(backend: Backend) -> bool:
    """Whether the metadata names a network that can be built: a configuration whose backbone is the one it claims."""
    import json

    try:
        return bool(json.loads(backend.metadata.architecture).get("backbone") == backend.metadata.backbone)
    except (ValueError, AttributeError):
        return False


def each_network(entries: Sequence[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    """Models by their file, in order."""
    for path in dict.fromkeys(entry.subject.path for entry in entries if entry.role == "model"):
        yield path.name, [entry for entry in entries if entry.subject.path == path and entry.role == "model"]
