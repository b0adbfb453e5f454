"""From build options to TensorRT's builder configuration, by Polygraphy. No precision flags: the network is strongly typed."""

from pathlib import Path
from typing import Any

from br2net.builder.engine.options import ANY_RTX, BuildOptions, Hardware
from br2net.errors import EngineError, InputError
from br2net.runtime.engine_file import RTX, Library, Profile
from br2net.runtime.gpu import Gpu
from br2net.runtime.tensorrt.api import FLAVOUR, trt


def make_config(
    builder: trt.Builder,
    network: trt.INetworkDefinition,
    options: BuildOptions,
    profile: Profile | None,
    timing_cache: Path | None,
    progress: trt.IProgressMonitor,
) -> trt.IBuilderConfig:
    """Create the configuration of a build, without the GPUs to build for (see `set_targets`).

    Args:
        builder: TensorRT's builder.
        network: the parsed network.
        options: build options.
        profile: input shapes of a dynamic network; None for a static one.
        timing_cache: file of layer times to start from; None for none.
        progress: called at each step of the build.

    Raises:
        InputError: if there is no such DLA core, TensorRT refuses the profile, or it is too old for an option.
        EngineError: if TensorRT refuses another option.
    """
    import polygraphy.config
    from polygraphy.logger import G_LOGGER

    polygraphy.config.USE_TENSORRT_RTX = FLAVOUR == RTX  # read when its `backend.trt` is imported
    levels = {Hardware.AMPERE_AND_LATER: "AMPERE_PLUS", Hardware.SAME_COMPUTE_CAPABILITY: "SAME_COMPUTE_CAPABILITY"}
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL + 1):  # it prints to stdout; what fails is raised as well
        from polygraphy.backend.trt import CreateConfig
        from polygraphy.exception import PolygraphyException

        workspace = (
            None if options.workspace_mib is None else {trt.MemoryPoolType.WORKSPACE: options.workspace_mib << 20}
        )
        try:
            config: trt.IBuilderConfig = CreateConfig(
                profiles=[],  # added below: Polygraphy's asks more of the network than bindings of another library answer
                tf32=True,
                memory_pool_limits=workspace,
                builder_optimization_level=options.optimisation_level,
                version_compatible=options.version_compatible,
                hardware_compatibility_level=_level(levels.get(options.hardware)),
                strip_plan=options.strip_weights,
                load_timing_cache=None if timing_cache is None or not timing_cache.is_file() else str(timing_cache),
                progress_monitor=progress,
            )(builder, network)
        except (PolygraphyException, RuntimeError) as error:
            raise EngineError(f"TensorRT refuses the build options ({error}).") from error
    if profile is not None:
        added = builder.create_optimization_profile()
        added.set_shape(network.get_input(0).name, *_dims(profile))
        if config.add_optimization_profile(added) < 0:
            raise InputError(f"TensorRT refuses the profile {profile}.")
    if options.strip_weights:
        config.set_flag(trt.BuilderFlag.REFIT_IDENTICAL)
    if options.dla_core is not None:  # not by Polygraphy, which takes core 0 and sets flags that strong typing excludes
        cores = getattr(builder, "num_DLA_cores", 0)  # TensorRT for RTX knows no DLA
        if not 0 <= options.dla_core < cores:
            raise InputError(f"There is no DLA core {options.dla_core} here; this machine has {cores}.")
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = options.dla_core
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)  # Resize and the matrix products of BR²Net do not run there
    return config


def _level(name: str | None) -> trt.HardwareCompatibilityLevel | None:
    """Return a level by its name: TensorRT has SAME_COMPUTE_CAPABILITY since 10.4 alone."""
    if name is not None and name not in trt.HardwareCompatibilityLevel.__members__:
        raise InputError(
            f"TensorRT {trt.__version__} cannot build for all GPUs of one compute capability; that came with 10.4."
        )
    return None if name is None else trt.HardwareCompatibilityLevel.__members__[name]


def _dims(profile: Profile) -> tuple[trt.Dims, trt.Dims, trt.Dims]:
    """Return the shapes `(N, 3, h, w)` of a profile: min, opt, max."""
    shapes = (profile.smallest, profile.typical, profile.largest)
    smallest, typical, largest = (trt.Dims([shape.batch, 3, shape.height, shape.width]) for shape in shapes)
    return smallest, typical, largest


def set_targets(config: Any, module: Any, library: Library, targets: tuple[str, ...], gpu: Gpu | None) -> None:
    """Say which GPUs to build for, where the library offers a choice.

    Args:
        config: the builder configuration.
        module: TensorRT's Python module, for its `ComputeCapability`.
        library: which TensorRT that is.
        targets: as `BuildOptions.targets`; empty for the GPU of this machine.
        gpu: the GPU of this machine.

    Raises:
        InputError: if this TensorRT cannot build for those.
    """
    if targets == (ANY_RTX,) and library.flavour == RTX:
        return  # the default of TensorRT for RTX
    if library.flavour != RTX:
        if targets:
            raise InputError(
                f"--for needs TensorRT for RTX and this is {library}; "
                "with both installed set BR2NET_TENSORRT=tensorrt_rtx."
            )
        return
    if not targets and gpu is None:
        raise InputError(
            "There is no NVIDIA GPU here; say which GPUs the engine is for, as --for sm86,sm89 or --for any."
        )
    if not hasattr(config, "set_compute_capability"):
        raise InputError(f"{library} takes no list of GPUs; use --for any.")
    names = [target.upper() for target in targets] or ["CURRENT"]
    config.num_compute_capabilities = len(names)  # before setting any: without it they are silently ignored
    for index, name in enumerate(names):
        capability = getattr(module.ComputeCapability, name, None)
        if capability is None or not config.set_compute_capability(capability, index):
            raise InputError(f"{library} cannot build for {name.lower()}.")
