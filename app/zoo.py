"""The models that come with the package."""

from importlib import resources
from pathlib import Path

from br2net.errors import ModelError
from br2net.files import StrPath

DEFAULT_MODEL = "mobile"


def shipped_models() -> dict[str, Path]:
    """Name and ONNX file of each model in the package, sorted by name."""
    folder = Path(str(resources.files("br2net").joinpath("models")))
    return {path.stem: path for path in sorted(folder.glob("*.onnx"), key=lambda item: item.stem)}


def find_model(name: StrPath, suffix: str = ".onnx") -> Path:
    """The file of a model: one that is shipped, by its name, or any file, by its path.

    Args:
        name: `mobile`, or a path.
        suffix: which file of a shipped model: `.onnx` to run, or `.pth` (its checkpoint) to export.

    Raises:
        ModelError: if it is neither, or a shipped model has no such file.
    """
    shipped = shipped_models()
    path = shipped[name].with_suffix(suffix) if isinstance(name, str) and name in shipped else Path(name)
    try:
        found = path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        found = False
    if found:
        return path
    if isinstance(name, str) and name in shipped:
        raise ModelError(f"The shipped model {name} comes without a {suffix} file{_use_instead(suffix)}.")
    names = ", ".join(shipped) or "none"
    raise ModelError(f"{name} is neither a file nor a shipped model (those are: {names}).")


def _use_instead(suffix: str) -> str:
    """Which shipped models do come with such a file, as the end of a sentence."""
    others = [name for name, path in shipped_models().items() if path.with_suffix(suffix).is_file()]
    return f"; with one: {', '.join(others)}" if others else ""
