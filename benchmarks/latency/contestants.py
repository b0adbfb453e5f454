"""The contestants of a run: every file on every backend that runs it here, and what they are compared with."""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from br2net.benchmarks.latency.record import BACKEND_NAMES, Failure, Setting
from br2net.benchmarks.latency.timing import Sample, Series, time_request
from br2net.benchmarks.latency.work import Work, work_of_network, work_of_onnx
from br2net.errors import Br2netError, InputError, MissingDependencyError
from br2net.files import CHECKPOINT_SUFFIXES, ENGINE_SUFFIXES, sha256_of
from br2net.runtime.backend import Backend, InferenceOptions
from br2net.runtime.backends import open_backend
from br2net.runtime.model_file import read_model_file
from br2net.types import Frame

FORMS = ("plain", "restructured")
PAPER = "paper"
PAPER_SIZE = (320, 320)
NETWORKS = (PAPER, "resnext101", "resnext50", "vgg16", "mobile")  # networks that can be measured with random weights
Size = tuple[int, int]


@dataclass(frozen=True)
class Subject:
    """One file to measure.

    Attributes:
        name: name on the command line.
        path: the file.
        checkpoint: weights that other forms and sizes of it can be exported from; None where there are none.
    """

    name: str
    path: Path
    checkpoint: Path | None = None


@dataclass(frozen=True)
class Variant:
    """A way to run a file."""

    backend: str
    precision: str


@dataclass(frozen=True)
class Contestant:
    """One file on one backend, loaded, with the frames of one batch, and its samples so far.

    Attributes:
        work: multiply-accumulates of the network; None where it cannot be counted.
    """

    setting: Setting
    subject: Subject
    variant: Variant
    backend: Backend
    frames: Sequence[Frame]
    work: Work | None
    series: Series = field(default_factory=Series)

    def run(self) -> Sample:
        """Compute the maps of the frames once, timed."""
        return time_request(self.backend, self.frames)

    @property
    def per_image_ms(self) -> float:
        """Median of the samples, end to end."""
        return float(np.median([sample.end_to_end for sample in self.series.samples])) / len(self.frames)

    @property
    def network(self) -> tuple[str, int, int]:
        """What an eager baseline has to share with it."""
        return self.backend.metadata.architecture, self.backend.width, self.backend.height


@dataclass(frozen=True)
class Opening:
    """How contestants are opened.

    Attributes:
        size: `(width, height)` of the input; None for each file's own.
        frames: frames of one batch.
        folder: folder for checkpoints and exported files.
    """

    device: str
    threads: int
    size: Size | None
    frames: Sequence[Frame]
    folder: Path


def find_subjects(
    text: str, path: Path | None, forms: Sequence[str], folder: Path, size: Size | None = None
) -> list[Subject]:
    """Find the files of one name or path on the command line.

    Args:
        text: text of the command line.
        path: the file that this means; None for a network by name (`paper` is the paper's), which gets random weights.
        forms: `plain` and `restructured`, for what has weights to export from; all else stays as it is.
        folder: folder for exported files.
        size: `(width, height)` to export for; None for the network's own.

    Raises:
        InputError: if there is no such form.
        MissingDependencyError: if something has to be exported and PyTorch is not installed.
    """
    for form in forms:
        if form not in FORMS:
            raise InputError(f"There is no form {form}; there are {', '.join(FORMS)}.")
    if path is None:
        checkpoint = random_checkpoint(text, folder)
        return [_exported(text, checkpoint, form, folder, size) for form in forms or ("restructured",)]
    weights = _weights_beside(path)
    own = Subject(text, path, weights)
    if weights is None or (not forms and size is None):  # a file of one form; it may still take other sizes
        return [own]
    if path.suffix in CHECKPOINT_SUFFIXES:
        return [own, *(_exported(text, weights, form, folder, size) for form in forms)]
    facts = read_model_file(path).metadata
    same_size = size in (None, (facts.width, facts.height))
    return [
        own if same_size and form == facts.form else _exported(text, weights, form, folder, size)
        for form in forms or (facts.form,)
    ]


def variants(path: Path, backend: str, precision: str) -> list[Variant]:
    """Return the ways to run a file: those asked for, or with `all` every backend that reads it.

    OpenVINO is run as the processor likes it best and in fp32; ONNX Runtime has no choice.
    """
    suffix = path.suffix.lower()
    if backend != "all":
        return [Variant(backend, "auto" if precision == "all" else precision)]
    if suffix in CHECKPOINT_SUFFIXES:
        return [Variant("torch", "auto")]
    if suffix in ENGINE_SUFFIXES:
        return [Variant("tensorrt", "auto")]
    if precision != "all":
        return [Variant("openvino", precision), Variant("onnxruntime", precision)]
    return [Variant("openvino", "auto"), Variant("openvino", "fp32"), Variant("onnxruntime", "auto")]


def options(variant: Variant, device: str, threads: int, size: Size | None = None) -> InferenceOptions:
    """Return the options to open a backend with."""
    return InferenceOptions(device, variant.precision, size, threads)


def random_checkpoint(name: str, folder: Path) -> Path:
    """Write a network by name with random weights, the same ones each time; runtime does not depend on them."""
    from br2net.network import NAMED_CONFIGS

    known = "resnext101" if name == PAPER else name
    return checkpoint_of_config(NAMED_CONFIGS[known].to_json(), known, folder / f"{known}.pth", PAPER_SIZE)


def checkpoint_of_config(config: str, name: str, path: Path, size: Size) -> Path:
    """Write a checkpoint of a configuration (JSON) with random weights."""
    import torch

    from br2net.network import BR2Net, BR2NetConfig, Checkpoint, save_checkpoint
    from br2net.network.checkpoint import ModelFacts

    if not path.exists():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = BR2Net(BR2NetConfig.from_json(config)).eval()
        save_checkpoint(path, Checkpoint(model, ModelFacts(name, *size)))
    return path


def open_models(
    subjects: Sequence[Subject], backend: str, precision: str, opening: Opening, stack: ExitStack
) -> tuple[list[Contestant], list[Failure]]:
    """Open every file on every backend that was asked for; those that fail are listed, and the others run.

    A backend that comes out at the same precision twice is run once. `stack` closes what was opened.
    """
    found: list[Contestant] = []
    failures: list[Failure] = []
    for subject in subjects:
        for variant in variants(subject.path, backend, precision):
            what = f"{subject.name} ({subject.path.name}), {BACKEND_NAMES.get(variant.backend, variant.backend)}"
            try:
                model = _open("model", subject, variant, opening, stack)
            except Br2netError as error:
                skipped = backend == "all" and isinstance(error, MissingDependencyError | InputError)
                optional = skipped and any(item.subject == subject for item in found)
                failures.append(Failure(what, f"{error}{' (Others ran.)' if optional else ''}"))
                continue
            if any(_same(item, model) for item in found):
                model.backend.close()
            else:
                found.append(model)
    counts = Counter(item.setting.key for item in found)
    return [
        replace(item, setting=replace(item.setting, tag=item.setting.file)) if counts[item.setting.key] > 1 else item
        for item in found
    ], failures


def open_baselines(
    models: Sequence[Contestant], opening: Opening, stack: ExitStack
) -> tuple[list[Contestant], list[str]]:
    """Open the paper's configuration, and each model's own network in PyTorch eager; return notes on what is missing."""

    def open_torch(role: str, name: str, checkpoint: Path, size: Size) -> Contestant:
        own = replace(opening, device="auto", size=size, frames=opening.frames[:1])
        return _open(role, Subject(name, checkpoint, checkpoint), Variant("torch", "auto"), own, stack)

    try:
        paper = open_torch("paper", PAPER, random_checkpoint(PAPER, opening.folder), PAPER_SIZE)
    except (MissingDependencyError, ModuleNotFoundError):
        return [], ["There is no baseline: PyTorch is not installed here, and the paper's configuration runs in it."]
    found, notes = [paper], []
    for network in dict.fromkeys(item.network for item in models):
        twins = [item for item in models if item.network == network]
        if network == paper.network or any(item.backend.name == "torch" for item in twins):
            continue
        metadata, size = twins[0].backend.metadata, network[1:]
        if not _names_its_network(metadata.architecture, metadata.backbone):
            notes.append(f"{metadata.name} has no PyTorch baseline: the file does not say what its network is.")
            continue
        weights = next((item.subject.checkpoint for item in twins if item.subject.checkpoint), None)
        if weights is None:
            path = opening.folder / f"eager-{len(found)}.pth"
            weights = checkpoint_of_config(metadata.architecture, metadata.name, path, size)
        found.append(open_torch("eager", metadata.name, weights, size))
    return found, notes


def eager_of(own: Contestant, contestants: Sequence[Contestant]) -> Contestant | None:
    """Return the contestant that runs the same network at the same size in PyTorch eager."""
    twins = (item for item in contestants if item.backend.name == "torch" and item.network == own.network)
    return next(twins, None)


def first_of(own: Contestant, contestants: Sequence[Contestant]) -> Contestant | None:
    """Return the first file on the same backend, in the same precision if it can; None for the first file itself."""
    models = [item for item in contestants if item.setting.role == "model"]
    if not models or own.setting.role != "model" or own.subject.path == models[0].subject.path:
        return None
    rivals = [
        item for item in models if item.subject.path == models[0].subject.path and item.backend.name == own.backend.name
    ]
    rivals.sort(key=lambda item: item.backend.precision != own.backend.precision)
    return rivals[0] if rivals else None


def _same(one: Contestant, other: Contestant) -> bool:
    paths, settings = (one.subject.path, other.subject.path), (one.setting, other.setting)
    return paths[0] == paths[1] and len({(item.backend, item.precision) for item in settings}) == 1


def _open(role: str, subject: Subject, variant: Variant, opening: Opening, stack: ExitStack) -> Contestant:
    wanted = options(variant, opening.device, opening.threads, opening.size)
    backend = stack.enter_context(open_backend(subject.path, variant.backend, wanted))
    backend.batch_size(len(opening.frames))  # refuses a batch that it does not take
    facts = backend.metadata
    setting = Setting(
        role=role,
        name=subject.name,
        network=facts.name,
        form=facts.form,
        backend=backend.name,
        device=backend.device,
        precision=backend.precision,
        width=backend.width,
        height=backend.height,
        batch=len(opening.frames),
        file=subject.path.name,
        file_sha256=sha256_of(subject.path)[:16],
        weights=facts.training_data,
    )
    return Contestant(setting, subject, variant, backend, opening.frames, _work(backend, subject.path))


def _work(backend: Backend, path: Path) -> Work | None:
    """Count the work of an ONNX file, of the one beside an engine, or of PyTorch's plain network."""
    if backend.name == "torch":
        from br2net.network import BR2NetConfig

        config = BR2NetConfig.from_json(backend.metadata.architecture)
        return work_of_network(config, backend.width, backend.height)
    try:
        return work_of_onnx(path.with_suffix(".onnx"), (backend.width, backend.height))
    except Br2netError:
        return None


def _names_its_network(architecture: str, backbone: str) -> bool:
    """Tell whether the metadata names a network that can be built: a configuration with the backbone that it claims."""
    try:
        return bool(json.loads(architecture).get("backbone") == backbone)
    except (ValueError, AttributeError):
        return False


def _weights_beside(path: Path) -> Path | None:
    """Return the checkpoint itself, or the one beside a float32 ONNX file, which has its weights."""
    if path.suffix in CHECKPOINT_SUFFIXES:
        return path
    beside = path.with_suffix(".pth")
    if path.suffix != ".onnx" or not beside.is_file() or read_model_file(path).metadata.precision != "fp32":
        return None
    return beside


def _exported(name: str, checkpoint: Path, form: str, folder: Path, size: Size | None) -> Subject:
    from br2net.builder.export import ExportOptions, export_onnx
    from br2net.network import load_checkpoint

    stem = f"{checkpoint.stem}-{form}" + (f"-{size[0]}x{size[1]}" if size else "")
    path = folder / f"{stem}.onnx"
    if not path.exists():
        export_onnx(load_checkpoint(checkpoint), path, ExportOptions(size=size, plain=form == "plain", batch=None))
    return Subject(name, path, checkpoint)
