"""Runtime: inference backends, from frames to maps. A device needs this package and a model file."""

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
