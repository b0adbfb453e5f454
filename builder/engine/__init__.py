"""TensorRT engines: built from an ONNX file, compared with it, cached. The first call for TensorRT imports it."""

from br2net.builder.engine.build import build_engine, refit_engine
from br2net.builder.engine.cache import EngineKey, cached_engine
from br2net.builder.engine.options import BuildOptions, Hardware

__all__ = [
    "BuildOptions",
    "EngineKey",
    "Hardware",
    "build_engine",
    "cached_engine",
    "refit_engine",
]
