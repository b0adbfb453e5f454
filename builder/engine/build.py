"""`build_engine`: an ONNX file becomes an engine file, compared with it before it appears."""

import hashlib
import importlib.util
import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from br2net.builder.comparison import TOLERANCES, Tolerance, compare
from br2net.builder.engine.inspection import mostly_fp32
from br2net.builder.engine.options import BuildOptions, Hardware, compute_capability_of
from br2net.builder.engine.source import OnnxSource, read_source, resolve_profile
from br2net.errors import InputError, MissingDependencyError
from br2net.files import ENGINE_SUFFIXES, check_suffix, check_writable
from br2net.runtime.backend import InferenceOptions
from br2net.runtime.backends import open_backend
from br2net.runtime.engine_file import EngineRecord, read_engine, write_engine
from br2net.runtime.gpu import Gpu, find_gpu
from br2net.types import Frame

NEEDED_TO_BUILD = ("polygraphy", "filelock")
NEEDED_TO_RUN = ("pycuda", "onnxruntime")  # the engine, and the ONNX file that it is compared with
_log = logging.getLogger(__name__)


def build_engine(
    onnx: Path,
    out: Path,
    options: BuildOptions | None = None,
    frames: Sequence[Frame] = (),
    tolerance: Tolerance | None = None,
    show_progress: bool = False,
) -> EngineRecord:
    """Build an engine for this machine's GPU, or ahead of time for others with TensorRT for RTX.

    Args:
        onnx: exported by br2net, of any precision.
        out: the engine file; its sidecar gets `.json` behind it.
        options: build options.
        frames: photographs, uint8 `(H, W, 3)` BGR, on which the engine is compared with the ONNX where this machine can
            run it; the photograph in this package where there are none.
        tolerance: largest accepted difference; None for the one of the file's precision.
        show_progress: show bars on stderr.

    Returns:
        The content of the sidecar.

    Raises:
        MissingDependencyError: if TensorRT or another package is not installed.
        InputError, ModelError, EngineError: if the file or an option is not fit, or the build fails.
        GateError: if the engine's maps differ too much from the ONNX.
        KeyboardInterrupt: on Ctrl-C, after TensorRT has stopped. Nothing is written after any of these.
    """
    options = options or BuildOptions()
    _check_output(out)
    source = read_source(onnx)
    profile = resolve_profile(source, options.profile)
    if options.dla_core is not None:
        _check_dla(source)
    gpu = find_gpu()

    from br2net.builder.engine.plan import build_plan
    from br2net.runtime.tensorrt.api import library

    gpu_name, capabilities = _built_for(options, gpu)
    record = EngineRecord(
        model=source.metadata,
        library=library(),
        gpu_name=gpu_name,
        compute_capabilities=capabilities,
        profile=profile,
        onnx_name=source.path.name,
        onnx_sha256=source.sha256,
        plan_sha256="",
        plan_size_bytes=0,
        version_compatible=options.version_compatible,
        stripped=options.strip_weights,
    )
    runs_here = gpu is not None and record.accepts_gpu(gpu) and not options.strip_weights
    check_installed(*NEEDED_TO_BUILD, *NEEDED_TO_RUN * runs_here)
    started = time.perf_counter()
    plan = build_plan(source, profile, options, gpu, show_progress)
    _log.info("%s: %d bytes in %.1f s", onnx, len(plan), time.perf_counter() - started)
    record = _of_plan(record, plan)
    if runs_here:
        record = _checked(record, source, plan, out, frames, tolerance)
    write_engine(out, plan, record)
    return record


def refit_engine(stripped: Path, onnx: Path, out: Path) -> EngineRecord:
    """Fill the weights of an ONNX file into an engine that was built without them, and compare it with that file.

    Raises:
        InputError: if there is no GPU here, the engine is not stripped, or the ONNX is not the one it was built from.
        ModelError, EngineError: if the engine cannot be used here.
        GateError: if the engine's maps differ too much from the ONNX.
    """
    from br2net.builder.engine.execution import refit_plan
    from br2net.runtime.tensorrt.api import library

    _check_output(out)
    gpu = find_gpu()
    if gpu is None:
        raise InputError("Filling in the weights of an engine needs the GPU that it is for, and there is none here.")
    plan, record = read_engine(stripped, library(), gpu)
    if not record.stripped:
        raise InputError(f"{stripped} has its weights already.")
    source = read_source(onnx)
    if source.sha256 != record.onnx_sha256:
        raise InputError(f"{stripped} was built from {record.onnx_name}, and {onnx} is another file.")
    check_installed(*NEEDED_TO_RUN)
    filled = refit_plan(plan, onnx)
    record = _checked(replace(_of_plan(record, filled), stripped=False), source, filled, out)
    write_engine(out, filled, record)
    return record


def check_installed(*packages: str) -> None:
    """Find out before a long build what it needs and does not find.

    Raises:
        MissingDependencyError: if a package is missing.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"Building an engine needs {', '.join(missing)} in addition to TensorRT; run "
            "`pip install 'br2net[tensorrt]' onnxruntime`."
        )


def _check_output(out: Path) -> None:
    """Refuse, before a long build, a file that could not be written or not be opened afterwards."""
    check_suffix(out, *ENGINE_SUFFIXES)
    check_writable(out)


def _check_dla(source: OnnxSource) -> None:
    """Refuse what would run on the GPU from end to end although the DLA is asked for."""
    if source.metadata.precision != "fp16":  # nor INT8 by QuantizeLinear and DequantizeLinear, which is all of ours
        raise InputError(
            f"A DLA needs an fp16 file, and {source.path} is {source.metadata.precision}; "
            "export it with --precision fp16."
        )
    if source.is_dynamic():
        raise InputError(
            f"A DLA needs one fixed shape, and {source.path} accepts many; export it with --size and --batch."
        )


def _checked(
    record: EngineRecord,
    source: OnnxSource,
    plan: bytes,
    out: Path,
    frames: Sequence[Frame] = (),
    tolerance: Tolerance | None = None,
) -> EngineRecord:
    """Return the record with layer counts and measured differences, or refuse the plan.

    The plan is opened as it will be used: from a file beside `out`, with its sidecar, by this package's runtime.
    """
    from br2net.builder.engine.execution import layers_of

    precision = record.model.precision
    record = replace(record, layers=layers_of(plan))
    warning = mostly_fp32(record.layers, precision)
    if warning:
        _log.warning(warning)
    shape = record.profile.typical
    options = InferenceOptions(size=(shape.width, shape.height))
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.stem}-") as folder:
        draft = Path(folder) / out.name
        write_engine(draft, plan, record)
        with (
            open_backend(draft, "tensorrt", options) as candidate,
            open_backend(source.path, "onnxruntime", replace(options, device="cpu")) as baseline,
        ):
            found = compare(candidate, baseline, frames, shape.batch)
    (tolerance or TOLERANCES[precision]).check(found, "The engine", str(source.path))
    return replace(record, figures=record.figures | found.figures())


def _of_plan(record: EngineRecord, plan: bytes) -> EngineRecord:
    return replace(record, plan_sha256=hashlib.sha256(plan).hexdigest(), plan_size_bytes=len(plan))


def _built_for(options: BuildOptions, gpu: Gpu | None) -> tuple[str, tuple[str, ...]]:
    """Return the GPU's name, empty for whole compute capabilities, and the compute capabilities of such a build."""
    if options.targets:
        return "", tuple(compute_capability_of(target) for target in options.targets)
    if options.hardware is Hardware.AMPERE_AND_LATER:
        return "", ("8.0+",)
    if gpu is None:
        return "", ()  # `build_plan` refuses
    return "" if options.hardware is Hardware.SAME_COMPUTE_CAPABILITY else gpu.name, (gpu.compute_capability,)
