"""The build itself: from a checked ONNX file to a plan in memory."""

import re
from pathlib import Path

from br2net.builder.engine.cache import locked
from br2net.builder.engine.config import make_config, set_targets
from br2net.builder.engine.execution import create
from br2net.builder.engine.options import BuildOptions
from br2net.builder.engine.progress import BuildProgress, progress_bars, run_interruptible
from br2net.builder.engine.source import OnnxSource
from br2net.errors import EngineError, InputError, ModelError
from br2net.files import cache_folder, write_bytes
from br2net.runtime.engine_file import RTX, Library, Profile
from br2net.runtime.gpu import Gpu
from br2net.runtime.tensorrt.api import library, trt
from br2net.runtime.tensorrt.log import kept_log

_OUT_OF_MEMORY = ("out of memory", "outofmemory", "insufficient memory", "cudaerrormemoryallocation")


def build_plan(
    source: OnnxSource, profile: Profile, options: BuildOptions, gpu: Gpu | None, show_progress: bool
) -> bytes:
    """Parse an ONNX file and build its plan.

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
    with log.section(), progress_bars(show_progress) as bars:
        builder, progress = create(trt.Builder), BuildProgress(bars)
        network, _parser = parse_network(builder, source.path)  # the parser owns weights that the build reads
        cache = timing_cache_path(here, gpu) if options.timing_cache else None
        shapes = profile if source.is_dynamic() else None
        config = make_config(builder, network, options, shapes, cache, progress)
        set_targets(config, trt, here, options.targets, gpu)
        memory = run_interruptible(lambda: builder.build_serialized_network(network, config), progress.stop)
        if memory is None:
            raise EngineError(_failure(source, log.errors()), log.lines())
        if cache is not None:
            save_timing_cache(config, cache)
        return bytes(memory)


def parse_network(builder: trt.Builder, path: Path) -> tuple[trt.INetworkDefinition, trt.OnnxParser]:
    """Parse an ONNX file into a strongly typed network: its precision is what the file says.

    Returns:
        The network, and the parser, which must live as long as the network: it owns weights of it.

    Raises:
        ModelError: if TensorRT's parser refuses it; the sentence names the node.
    """
    log = kept_log()
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(path)) or network.num_outputs == 0:
        errors = [_sentence(parser.get_error(index)) for index in range(parser.num_errors)]
        reason = "; ".join(errors or log.errors()) or "no reason given"
        raise ModelError(f"TensorRT's parser refuses {path}: {reason}.")
    return network, parser


def _sentence(error: trt.ParserError) -> str:
    """Return the text of a parser error, with its node."""
    reason = " ".join(error.desc().split()).rstrip(".")
    if not error.node_name() and not error.node_operator():
        return reason
    return f"node {error.node_name() or error.node()} ({error.node_operator()}): {reason}"


def timing_cache_path(library: Library, gpu: Gpu | None) -> Path:
    """Return the file of layer times that this TensorRT measured on this GPU."""
    machine = f"{gpu.name}-sm{gpu.compute_capability}" if gpu else "no-gpu"
    name = re.sub(r"[^A-Za-z0-9._]+", "-", f"{library.flavour}-{library.version}-{machine}")
    return cache_folder() / "timing" / f"{name}.cache"


def save_timing_cache(config: trt.IBuilderConfig, path: Path) -> None:
    """Add the builder's layer times to those in `path`, to which another build may have added in the meantime."""
    with locked(path):
        own = config.get_timing_cache()
        if path.is_file():
            own.combine(config.create_timing_cache(path.read_bytes()), True)
        write_bytes(path, bytes(own.serialize()))


def _failure(source: OnnxSource, errors: tuple[str, ...]) -> str:
    """Return one sentence for a build without a result."""
    reason = " ".join(errors[0].split()).rstrip(".") if errors else "it gave no reason"
    if any(word in error.lower() for error in errors for word in _OUT_OF_MEMORY):
        return (
            f"TensorRT ran out of memory while building {source.path} ({reason}); lower --workspace, add swap, or build "
            "without a desktop session."
        )
    return f"TensorRT could not build {source.path}: {reason}."
