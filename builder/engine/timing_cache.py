"""Measured layer times, kept for the next build by the same TensorRT on the same GPU."""

import re
from pathlib import Path

from br2net.builder.engine.cache import locked
from br2net.files import cache_folder, write_bytes
from br2net.runtime.engine_file import Library
from br2net.runtime.gpu import Gpu
from br2net.runtime.tensorrt.api import trt


def timing_cache_path(library: Library, gpu: Gpu | None) -> Path:
    """Where the layer times of this TensorRT on this GPU are."""
    machine = f"{gpu.name}-sm{gpu.compute_capability}" if gpu else "no-gpu"
    name = re.sub(r"[^A-Za-z0-9._]+", "-", f"{library.flavour}-{library.version}-{machine}")
    return cache_folder() / "timing" / f"{name}.cache"


def load_timing_cache(config: trt.IBuilderConfig, path: Path) -> None:
    """Give the builder the times in `path`, or an empty cache to fill where there are none or they are damaged."""
    known = path.read_bytes() if path.is_file() else b""
    if not (known and config.set_timing_cache(config.create_timing_cache(known), False)):
        config.set_timing_cache(config.create_timing_cache(b""), False)


def save_timing_cache(config: trt.IBuilderConfig, path: Path) -> None:
    """Add the builder's times to those in `path`, which another build may have written meanwhile."""
    with locked(path):
        own = config.get_timing_cache()
        if path.is_file():
            own.combine(config.create_timing_cache(path.read_bytes()), True)
        write_bytes(path, bytes(own.serialize()))
