"""The models that come with the package."""

from importlib import resources
from pathlib import Path

from br2net.errors import ModelError

DEFAULT_MODEL = "mobile"


def shipped_models() -> dict[str, Path]:
    """Name and ONNX file of each model in the package, sorted by name."""
    folder = Path(str(resources.files("br2net").joinpath("models")))
    return {path.stem: path for path in sorted(folder.glob("*.onnx"))}


def find_model(name: str | Path, suffix: str = ".onnx") -> Path:
    """The file of a model: one that is shipped, by its name, or any file, by its path.

    Args:
        name: `mobile`, or a path.
        suffix: which file of a shipped model: `.onnx` to run, or `.pth` (its checkpoint) to export.

    Raises:
        ModelError: if it is neither.
    """
    if isinstance(name, str) and name in shipped_models():
        path = shipped_models()[name].with_suffix(suffix)
        if path.is_file():
            return path
    path = Path(name)
    if path.is_file():
        return path
    names = ", ".join(shipped_models()) or "none"
    raise ModelError(f"{name} is neither a file nor a shipped model (those are: {names}).")
