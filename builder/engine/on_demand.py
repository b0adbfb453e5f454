"""An engine for this machine's GPU when it is first needed: built once, kept in the user's cache folder."""

import importlib.util
import logging
from dataclasses import replace
from pathlib import Path

from br2net.builder.engine.build import NEEDED_TO_BUILD, NEEDED_TO_RUN, build_engine, check_installed
from br2net.builder.engine.cache import EngineKey, cached_engine
from br2net.builder.engine.options import BuildOptions
from br2net.builder.engine.source import OnnxSource, fp16_beside, read_source
from br2net.errors import InputError
from br2net.runtime.backend import LARGEST_BATCH
from br2net.runtime.engine_file import Profile
from br2net.runtime.gpu import Gpu

_NEEDED = (*NEEDED_TO_BUILD, *NEEDED_TO_RUN)
_FP16_NEEDS = (
    "fp16 needs NVIDIA's Model Optimizer (`pip install 'nvidia-modelopt[onnx]'`), or a file made elsewhere with "
    "`br2net export --precision fp16`"
)
_log = logging.getLogger(__name__)


def engine_on_demand(onnx: Path, precision: str, size: tuple[int, int] | None, gpu: Gpu) -> Path:
    """Return the engine of an ONNX file for `gpu`, built at the first call and found in the cache folder at later ones.

    It takes one size, and from 1 to 8 images where the file leaves the batch open.

    Args:
        onnx: exported by br2net.
        precision: `auto` for fp16 where there is such a file beside this one or one can be made here, or `fp32`, `fp16`,
            `int8`.
        size: input `(width, height)` in pixels; None for the file's default.
        gpu: the GPU of this machine.

    Raises:
        MissingDependencyError: if TensorRT, or another package for building and running, is not installed.
        InputError: if precision or size is not possible with this file.
        Br2netError: what `build_engine` raises.
    """
    from br2net.runtime.tensorrt.api import library

    check_installed(*_NEEDED)
    source = read_source(onnx)
    if precision in ("auto", "fp16"):
        source = fp16_beside(source) or source
    wanted = choose_precision(source, precision)
    shape = source.shape(size)
    profile = Profile(shape, shape, replace(shape, batch=source.batch or LARGEST_BATCH))
    key = EngineKey(source.sha256, wanted, profile, library(), gpu)

    def build(path: Path) -> None:
        _log.warning("Building an engine of %s for %s; later calls find it in %s.", onnx.name, gpu.name, path.parent)
        if precision == "auto" and wanted == "fp32":
            _log.warning("It computes in fp32: %s.", _FP16_NEEDS)
        build_engine(_typed(source, wanted, path), path, BuildOptions(profile=profile), show_progress=True)

    return cached_engine(key.path(source.metadata.name), build)


def choose_precision(source: OnnxSource, wanted: str) -> str:
    """Return the engine's precision: an ONNX file has its own precision, and of an fp32 file fp16 can be made.

    Raises:
        InputError: if that precision cannot be made of this file here.
    """
    own = source.metadata.precision
    if wanted in (own, "auto") and own != "fp32":
        return own
    can_cast = importlib.util.find_spec("modelopt") is not None
    if wanted == "auto":
        return "fp16" if can_cast else "fp32"
    if wanted not in (own, "fp16") or own not in ("fp32", wanted):
        raise InputError(
            f"{source.path} is {own}, and an engine of {wanted} cannot be made of it here; "
            f"{'calibrate it with `br2net calibrate`' if wanted == 'int8' else 'start from a file of that precision'}."
        )
    if wanted == "fp16" != own and not can_cast:
        raise InputError(f"{source.path} is fp32, and {_FP16_NEEDS}.")
    return wanted


def _typed(source: OnnxSource, precision: str, engine: Path) -> Path:
    """Return the ONNX file of that precision; one that is cast for this is kept beside the engine."""
    if precision == source.metadata.precision:
        return source.path
    from br2net.builder.precision import to_fp16

    cast = engine.with_suffix(".onnx")
    to_fp16(source.path, cast)
    return cast
