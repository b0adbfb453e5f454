"""Runtime: inference backends, from frames to maps. A device needs this package and a model file.

Nothing is imported before it is used, so that `br2net doctor` works where OpenCV does not load.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from br2net.runtime.backend import Backend, InferenceOptions, Request, detect
    from br2net.runtime.backends import open_backend
    from br2net.runtime.metadata import ModelMetadata, Normalisation
    from br2net.runtime.postprocessing import Outputs, Wanted

__all__ = [
    "Backend",
    "InferenceOptions",
    "ModelMetadata",
    "Normalisation",
    "Outputs",
    "Request",
    "Wanted",
    "detect",
    "open_backend",
]

_HOMES = {
    "Backend": "backend",
    "InferenceOptions": "backend",
    "Request": "backend",
    "detect": "backend",
    "ModelMetadata": "metadata",
    "Normalisation": "metadata",
    "Outputs": "postprocessing",
    "Wanted": "postprocessing",
    "open_backend": "backends",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'br2net.runtime' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"br2net.runtime.{_HOMES[name]}"), name)
