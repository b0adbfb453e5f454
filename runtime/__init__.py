"""The runtime: inference backends, preprocessing and postprocessing, images. What runs on a device is this and a file.

Nothing is imported before it is used, so that `br2net doctor` works where OpenCV does not load.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from br2net.runtime.backend import Backend, InferenceOptions
    from br2net.runtime.backends import open_backend
    from br2net.runtime.metadata import ModelMetadata, Normalisation

__all__ = ["Backend", "InferenceOptions", "ModelMetadata", "Normalisation", "open_backend"]

_HOMES = {
    "Backend": "backend",
    "InferenceOptions": "backend",
    "ModelMetadata": "metadata",
    "Normalisation": "metadata",
    "open_backend": "backends",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'br2net.runtime' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"br2net.runtime.{_HOMES[name]}"), name)
