"""What is measured: files as they are, and networks by name, exported for the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from br2net.errors import InputError
from br2net.files import CHECKPOINT_SUFFIXES, ENGINE_SUFFIXES, sha256_of
from br2net.runtime.backend import InferenceOptions
from br2net.runtime.model_file import read_model_file

FORMS = ("plain", "restructured")
PAPER = "paper"
NETWORKS = (PAPER, "resnext101", "resnext50", "vgg16", "mobile")  # what can be measured with random weights


@dataclass(frozen=True)
class Subject:
    """One file to measure.

    Attributes:
        name: what the command line called it.
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


def find_subjects(
    text: str, path: Path | None, forms: Sequence[str], folder: Path, size: tuple[int, int] | None = None
) -> list[Subject]:
    """Files of one name or path on the command line.

    Args:
        text: what the command line says.
        path: the file that this means; None for a network by name (`paper` is the paper's), which gets random weights.
        forms: `plain` and `restructured`, for what has weights to export from; all else stays as it is.
        folder: where exported files go, for the time of the run.
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
    checkpoint_of = _weights_beside(path)
    own = Subject(text, path, checkpoint_of)
    if checkpoint_of is None or (not forms and size is None):  # a file of one form; it may still take other sizes
        return [own]
    if path.suffix in CHECKPOINT_SUFFIXES:
        return [own, *(_exported(text, checkpoint_of, form, folder, size) for form in forms)]
    facts = read_model_file(path).metadata
    same_size = size in (None, (facts.width, facts.height))
    return [
        own if same_size and form == facts.form else _exported(text, checkpoint_of, form, folder, size)
        for form in forms or (facts.form,)
    ]


def variants(path: Path, backend: str, precision: str) -> list[Variant]:
    """Ways to run a file: those asked for, or with `all` every backend that reads it.

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


def options(variant: Variant, device: str, threads: int, size: tuple[int, int] | None = None) -> InferenceOptions:
    """What a backend is asked for."""
    return InferenceOptions(device, variant.precision, size, threads)


def random_checkpoint(name: str, folder: Path) -> Path:
    """A network by name with random weights, the same ones each time; runtime does not depend on what they are."""
    from br2net.network import NAMED_CONFIGS

    known = "resnext101" if name == PAPER else name
    return checkpoint_of_config(NAMED_CONFIGS[known].to_json(), known, folder / f"{known}.pth", (320, 320))


def checkpoint_of_config(config: str, name: str, path: Path, size: tuple[int, int]) -> Path:
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


def _weights_beside(path: Path) -> Path | None:
    """The checkpoint itself, or the one beside a float32 ONNX file, which has its weights."""
    if path.suffix in CHECKPOINT_SUFFIXES:
        return path
    beside = path.with_suffix(".pth")
    if path.suffix != ".onnx" or not beside.is_file() or read_model_file(path).metadata.precision != "fp32":
        return None
    return beside


def _exported(name: str, checkpoint: Path, form: str, folder: Path, size: tuple[int, int] | None) -> Subject:
    from br2net.builder.export import ExportOptions, export_onnx
    from br2net.network import load_checkpoint

    stem = f"{checkpoint.stem}-{form}" + (f"-{size[0]}x{size[1]}" if size else "")
    path = folder / f"{stem}.onnx"
    if not path.exists():
        export_onnx(load_checkpoint(checkpoint), path, ExportOptions(size=size, plain=form == "plain", batch=None))
    return Subject(name, path, checkpoint)


def file_hash(path: Path) -> str:
    """The first digits of a file's SHA-256."""
    return sha256_of(path)[:16]
