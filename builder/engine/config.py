"""From build options to TensorRT's builder configuration. No precision flags: the network is strongly typed."""

from typing import Any, Protocol, runtime_checkable

from br2net.builder.engine.options import ANY_RTX, BuildOptions, Hardware
from br2net.builder.engine.source import OnnxSource
from br2net.errors import InputError
from br2net.runtime.engine_file import RTX, InputShape, Library, Profile
from br2net.runtime.gpu import Gpu
from br2net.runtime.tensorrt.api import trt


@runtime_checkable
class ForeseesGpus(Protocol):
    """What the builder configuration of TensorRT for RTX has beyond TensorRT's."""

    num_compute_capabilities: int

    def set_compute_capability(self, capability: Any, index: int) -> bool:
        """Set one `ComputeCapability`; False where it cannot be built for."""
        ...


def make_config(builder: trt.Builder, options: BuildOptions) -> trt.IBuilderConfig:
    """Everything of `options` that is not about shapes and target GPUs.

    Raises:
        InputError: if there is no such DLA core.
    """
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    if options.optimisation_level is not None:
        config.builder_optimization_level = options.optimisation_level
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware is Hardware.AMPERE_AND_LATER:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.hardware is Hardware.SAME_COMPUTE_CAPABILITY:
        config.hardware_compatibility_level = _same_compute_capability()
    if options.strip_weights:
        config.set_flag(trt.BuilderFlag.STRIP_PLAN)
        config.set_flag(trt.BuilderFlag.REFIT_IDENTICAL)
    if options.dla_core is not None:
        _use_dla(builder, config, options.dla_core)
    return config


def _same_compute_capability() -> trt.HardwareCompatibilityLevel:
    """TensorRT has this level since 10.4 alone, so it is looked up by name."""
    levels = trt.HardwareCompatibilityLevel.__members__
    if "SAME_COMPUTE_CAPABILITY" not in levels:
        raise InputError(
            f"TensorRT {trt.__version__} cannot build for all GPUs of one compute capability; that came with 10.4."
        )
    return levels["SAME_COMPUTE_CAPABILITY"]


def _use_dla(builder: trt.Builder, config: trt.IBuilderConfig, core: int) -> None:
    cores = getattr(builder, "num_DLA_cores", 0)  # TensorRT for RTX knows no DLA
    if not 0 <= core < cores:
        raise InputError(f"There is no DLA core {core} here; this machine has {cores}.")
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)  # Resize and the matrix products of BR²Net do not run there


def add_profile(builder: trt.Builder, config: trt.IBuilderConfig, source: OnnxSource, profile: Profile) -> None:
    """Add the optimisation profile of a dynamic network; a static one needs none.

    Raises:
        InputError: if TensorRT refuses it.
    """
    if not source.is_dynamic():
        return
    added = builder.create_optimization_profile()
    shapes = (_dims(profile.smallest), _dims(profile.typical), _dims(profile.largest))
    added.set_shape(source.input_name, *shapes)
    if config.add_optimization_profile(added) < 0:
        raise InputError(f"TensorRT refuses the profile {profile} for {source.path}.")


def _dims(shape: InputShape) -> trt.Dims:
    return trt.Dims([shape.batch, 3, shape.height, shape.width])


def set_targets(config: object, module: Any, library: Library, targets: tuple[str, ...], gpu: Gpu | None) -> None:
    """Say which GPUs to build for, where the library can be told.

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
        return  # what TensorRT for RTX does when it is told nothing
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
    if not isinstance(config, ForeseesGpus):
        raise InputError(f"{library} cannot be told which GPUs to build for; only --for any works with it.")
    names = [target.upper() for target in targets] or ["CURRENT"]
    config.num_compute_capabilities = len(names)  # before setting any: without it they are silently ignored
    for index, name in enumerate(names):
        capability = getattr(module.ComputeCapability, name, None)
        if capability is None or not config.set_compute_capability(capability, index):
            raise InputError(f"{library} cannot build for {name.lower()}.")
