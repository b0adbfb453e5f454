"""The build itself: from a checked ONNX file to a plan in memory."""

import time
from dataclasses import dataclass

from br2net.builder.engine.config import add_profile, make_config, set_targets
from br2net.builder.engine.network import parse_network
from br2net.builder.engine.options import BuildOptions
from br2net.builder.engine.progress import BuildProgress, progress_bars, run_interruptible
from br2net.builder.engine.source import OnnxSource
from br2net.builder.engine.timing_cache import load_timing_cache, save_timing_cache, timing_cache_path
from br2net.errors import EngineError, InputError
from br2net.runtime.engine_file import RTX, Profile
from br2net.runtime.gpu import Gpu
from br2net.runtime.tensorrt.api import library, trt
from br2net.runtime.tensorrt.log import kept_log

_OUT_OF_MEMORY = ("out of memory", "outofmemory", "insufficient memory", "cudaerrormemoryallocation")


@dataclass(frozen=True)
class BuiltPlan:
    """A plan, how long it took, and what TensorRT logged.

    Attributes:
        plan: the serialised engine.
        seconds: from the first look at the network to the plan, wall clock.
        log: TensorRT's messages of INFO and worse.
    """

    plan: bytes
    seconds: float
    log: tuple[str, ...]


def build_plan(
    source: OnnxSource, profile: Profile, options: BuildOptions, gpu: Gpu | None, show_progress: bool
) -> BuiltPlan:
    """Parse and build.

    Raises:
        InputError: if there is no GPU and this TensorRT needs one, or an option is not possible here.
        ModelError: if the parser refuses the file.
        EngineError: if the builder fails; it carries TensorRT's log.
        KeyboardInterrupt: on Ctrl-C, after TensorRT has stopped.
    """
    here, log = library(), kept_log()
    if gpu is None and here.flavour != RTX:
        raise InputError(
            f"{here} builds on the GPU that the engine is for, and there is no NVIDIA GPU (or driver) here."
        )
    if gpu is None and options.strip_weights:
        raise InputError(f"{here} needs a GPU to leave out weights, and there is none (or no driver) here.")
    with log.section():
        started = time.perf_counter()
        builder = trt.Builder(log)
        network, _parser = parse_network(builder, source.path, log)  # the parser owns weights that the build reads
        config = make_config(builder, options)
        add_profile(builder, config, source, profile)
        set_targets(config, trt, here, options.targets, gpu)
        cache = timing_cache_path(here, gpu)
        if options.timing_cache:
            load_timing_cache(config, cache)
        with progress_bars(show_progress) as bars:
            progress = BuildProgress(bars)
            config.progress_monitor = progress
            memory = run_interruptible(lambda: builder.build_serialized_network(network, config), progress.stop)
        if memory is None:
            raise EngineError(_failure(source, log.errors()), log.lines())
        if options.timing_cache:
            save_timing_cache(config, cache)
        return BuiltPlan(bytes(memory), time.perf_counter() - started, log.lines())


def _failure(source: OnnxSource, errors: tuple[str, ...]) -> str:
    """One sentence for a build without a result."""
    said = " ".join(errors[0].split()).rstrip(".") if errors else "it gave no reason"
    if any(word in error.lower() for error in errors for word in _OUT_OF_MEMORY):
        return (
            f"TensorRT ran out of memory while building {source.path} ({said}); lower --workspace, add swap, or build "
            "without a desktop session."
        )
    return f"TensorRT could not build {source.path}: {said}."
