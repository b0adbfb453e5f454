"""`build_engine`: an ONNX file becomes an engine file, compared with it before it is written."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from br2net.builder.comparison import TOLERANCES, Tolerance, difference, packaged_photograph, reference_maps
from br2net.builder.engine.layers import mostly_fp32
from br2net.builder.engine.options import BuildOptions, Hardware, compute_capability_of
from br2net.builder.engine.source import OnnxSource, read_source, resolve_profile
from br2net.errors import InputError
from br2net.files import ENGINE_SUFFIXES, check_writable
from br2net.runtime.engine_file import EngineRecord, Library, Profile, read_engine, write_engine
from br2net.runtime.gpu import Gpu, find_gpu
from br2net.runtime.preprocessing import preprocess
from br2net.types import Frame

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
        options: how to build.
        frames: photographs, uint8 `(H, W, 3)` BGR, on which the engine is compared with the ONNX where this machine can
            run it; the photograph in this package where there are none.
        tolerance: largest accepted difference; None for the one of the file's precision.
        show_progress: show bars on stderr.

    Returns:
        What the sidecar says.

    Raises:
        MissingDependencyError: if TensorRT is not installed.
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

    built = build_plan(source, profile, options, gpu, show_progress)
    _log.info("%s: %d bytes in %.1f s", onnx, len(built.plan), built.seconds)
    record = _record(source, profile, options, library(), gpu, built.plan)
    if gpu is not None and record.accepts_gpu(gpu) and not options.strip_weights:
        record = _checked(record, source, built.plan, frames, tolerance)
    write_engine(out, built.plan, record)
    return record


def refit_engine(stripped: Path, onnx: Path, out: Path) -> EngineRecord:
    """Fill the weights of an ONNX file into an engine that was built without them.

    Raises:
        InputError: if there is no GPU here, the engine is not stripped, or the ONNX is not the one it was built from.
        ModelError, EngineError: if the engine cannot be used here.
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
    if read_source(onnx).sha256 != record.onnx_sha256:
        raise InputError(f"{stripped} was built from {record.onnx_name}, and {onnx} is another file.")
    filled = refit_plan(plan, onnx)
    record = replace(record, plan_sha256=_sha256(filled), plan_size_bytes=len(filled), stripped=False)
    write_engine(out, filled, record)
    return record


def comparison_batches(record: EngineRecord, frames: Sequence[Frame]) -> list[NDArray[np.float32]]:
    """Network input of the profile's typical shape; frames fill it in turn, so that every frame is in it once."""
    shape = record.profile.typical
    groups = [frames[start : start + shape.batch] for start in range(0, len(frames), shape.batch)]
    filled = [[group[index % len(group)] for index in range(shape.batch)] for group in groups]
    return [preprocess(group, shape.width, shape.height, record.model.normalisation) for group in filled]


def _check_output(out: Path) -> None:
    """Refuse, before a long build, a file that could not be written or not be opened afterwards."""
    if out.suffix.lower() not in ENGINE_SUFFIXES:
        raise InputError(f"{out} must end in {' or '.join(ENGINE_SUFFIXES)}.")
    check_writable(out)


def _check_dla(source: OnnxSource) -> None:
    """Refuse what would run on the GPU from end to end although the DLA is asked for."""
    if source.metadata.precision == "fp32":
        raise InputError(
            f"A DLA computes in fp16 and INT8, and {source.path} is fp32; export it with --precision fp16."
        )
    if source.is_dynamic():
        raise InputError(
            f"A DLA needs one fixed shape, and {source.path} accepts many; export it with --size and --batch."
        )


def _checked(
    record: EngineRecord, source: OnnxSource, plan: bytes, frames: Sequence[Frame], tolerance: Tolerance | None
) -> EngineRecord:
    """The record with layer counts and measured differences, or a refusal."""
    from br2net.builder.engine.execution import layers_of, run_plan

    precision = record.model.precision
    record = replace(record, layers=layers_of(plan))
    warning = mostly_fp32(record.layers, precision)
    if warning:
        _log.warning(warning)
    batches = comparison_batches(record, frames or [packaged_photograph()])
    references = reference_maps(source.path, batches)
    found = difference(run_plan(plan, source.input_name, source.output_name, batches), references)
    (tolerance or TOLERANCES[precision]).check(found, "The engine", str(source.path))
    return replace(record, figures=record.figures | found.figures())


def _record(
    source: OnnxSource, profile: Profile, options: BuildOptions, library: Library, gpu: Gpu | None, plan: bytes
) -> EngineRecord:
    """What is known of a plan without running it."""
    gpu_name, capabilities = _built_for(options, gpu)
    return EngineRecord(
        model=source.metadata,
        library=library,
        gpu_name=gpu_name,
        compute_capabilities=capabilities,
        profile=profile,
        onnx_name=source.path.name,
        onnx_sha256=source.sha256,
        plan_sha256=_sha256(plan),
        plan_size_bytes=len(plan),
        version_compatible=options.version_compatible,
        stripped=options.strip_weights,
    )


def _built_for(options: BuildOptions, gpu: Gpu | None) -> tuple[str, tuple[str, ...]]:
    """GPU name, empty for whole compute capabilities, and compute capabilities that such a build is for."""
    if options.targets:
        return "", tuple(compute_capability_of(target) for target in options.targets)
    if gpu is None:
        raise InputError("There is no NVIDIA GPU here.")  # build_plan has refused before
    if options.hardware is Hardware.AMPERE_AND_LATER:
        return "", ("8.0+",)
    if options.hardware is Hardware.SAME_COMPUTE_CAPABILITY:
        return "", (gpu.compute_capability,)
    return gpu.name, (gpu.compute_capability,)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
