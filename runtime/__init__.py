"""The runtime: inference backends, preprocessing and postprocessing, images. What runs on a device is this and a file."""

from br2net.runtime.backend import Backend, InferenceOptions
from br2net.runtime.backends import open_backend
from br2net.runtime.metadata import ModelMetadata, Normalisation

__all__ = ["Backend", "InferenceOptions", "ModelMetadata", "Normalisation", "open_backend"]
