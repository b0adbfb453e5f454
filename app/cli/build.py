"""`br2net build`: from an ONNX file to a TensorRT engine."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from br2net.cli.options import JsonOption, read_frames

if TYPE_CHECKING:
    from br2net.runtime.engine_file import EngineRecord


def build(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An ONNX file of any precision, or a shipped model.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The engine file to write.")],
    batch: Annotated[
        str | None,
        typer.Option(metavar="N|MIN:OPT:MAX", help="Batch sizes of a model that leaves them open; default 1."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WxH|MIN:OPT:MAX", help="Input sizes of a model that leaves them open; default: its own."),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(metavar="auto|fp32|fp16", help="Of a shipped model: auto is fp16. Of a file: what it says."),
    ] = "auto",
    images: Annotated[
        list[str] | None, typer.Option("--images", metavar="PATH", help="Photographs to compare engine and ONNX on.")
    ] = None,
    workspace: Annotated[int | None, typer.Option(metavar="MIB", help="Scratch memory that a layer may use.")] = None,
    level: Annotated[int | None, typer.Option(metavar="0..5", help="0 builds fast, 5 searches longest.")] = None,
    targets: Annotated[
        str, typer.Option("--for", metavar="LIST", help="TensorRT for RTX: build for sm86,sm89,sm120, or any.")
    ] = "",
    hardware: Annotated[str, typer.Option(help="this-gpu, same-compute-capability or ampere-and-later.")] = "this-gpu",
    version_compatible: Annotated[
        bool, typer.Option("--version-compatible", help="Later TensorRT of the same major number may run it.")
    ] = False,
    strip: Annotated[bool, typer.Option("--strip", help="Leave the weights out; --refit fills them in.")] = False,
    refit: Annotated[
        Path | None, typer.Option(metavar="ENGINE", help="Fill MODEL's weights into this stripped engine.")
    ] = None,
    dla: Annotated[int | None, typer.Option(metavar="CORE", help="Build for this DLA core of a Jetson.")] = None,
    timing_cache: Annotated[bool, typer.Option(help="Keep measured layer times for the next build.")] = True,
    tolerance: Annotated[
        float | None, typer.Option(metavar="MEAN", help="Largest accepted mean difference of the maps.")
    ] = None,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what TensorRT logged, also of a build that fails.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Build a TensorRT engine for this machine, and compare it with the ONNX on photographs before it appears.

    Precision is that of the ONNX file; a shipped model has an fp16 file too. FILE is a plain plan that trtexec loads, and
    FILE.json beside it describes it.
    """
    from br2net.builder.comparison import Tolerance
    from br2net.builder.engine import BuildOptions, Hardware, build_engine, refit_engine
    from br2net.builder.engine.options import parse_profile
    from br2net.errors import InputError
    from br2net.runtime.model_file import read_model_file

    onnx = _source(model, precision)
    if refit is not None:
        _report(output, refit_engine(refit, onnx, output), as_json)
        return
    if hardware not in [item.value for item in Hardware]:
        raise InputError(f"--hardware must be one of {', '.join(item.value for item in Hardware)}, got {hardware!r}.")
    profile = None
    if batch is not None or size is not None:
        metadata = read_model_file(onnx).metadata
        profile = parse_profile(batch or "1", size or f"{metadata.width}x{metadata.height}")
    options = BuildOptions(
        profile=profile,
        workspace_mib=workspace,
        optimisation_level=level,
        version_compatible=version_compatible,
        hardware=Hardware(hardware),
        strip_weights=strip,
        dla_core=dla,
        targets=tuple(item.strip() for item in targets.split(",") if item.strip()),
        timing_cache=timing_cache,
    )
    accepted = None if tolerance is None else Tolerance(largest=1.0, mean=tolerance)
    photographs = read_frames(images)
    with _logged(log):
        record = build_engine(onnx, output, options, photographs, accepted, show_progress=not as_json)
    _report(output, record, as_json)


@contextmanager
def _logged(path: Path | None) -> Iterator[None]:
    """Write what TensorRT logs within the block to `path`, whether or not the block raises."""
    from br2net.files import write_text

    try:
        yield
    finally:
        log = sys.modules.get("br2net.runtime.tensorrt.log")  # not there if the build ended before TensorRT was used
        if path is not None and log is not None:
            write_text(path, "".join(f"{line}\n" for line in log.kept_log().lines()))


def _source(model: str, precision: str) -> Path:
    """Return the ONNX file to build from: for a shipped model of fp32 the fp16 file beside it, unless fp32 is wanted."""
    from br2net.builder.engine.source import fp16_beside, read_source
    from br2net.errors import InputError
    from br2net.zoo import find_model, shipped_models

    path = find_model(model)
    if precision not in ("auto", "fp32", "fp16"):
        raise InputError(
            f"--precision must be auto, fp32 or fp16, got {precision!r}; INT8 is made by `br2net calibrate`."
        )
    source = read_source(path)
    if precision == "fp16" or (precision == "auto" and model in shipped_models()):
        source = fp16_beside(source) or source
    if precision not in ("auto", source.metadata.precision):
        raise InputError(
            f"{path} is {source.metadata.precision}, so no engine of {precision} can be built of it; "
            f"make a file of that precision with `br2net export --precision {precision}`."
        )
    return source.path


def _report(output: Path, record: "EngineRecord", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(json.loads(record.to_json()) | {"engine": str(output)}))
        return
    layers = ", ".join(f"{count} {precision}" for precision, count in record.layers.items()) or "not counted"
    mean = record.figures.get("mean_difference")
    compared = "not run here" if mean is None else f"maps within {mean:.5f} (mean) of the ONNX"
    typer.echo(
        f"{output}: {record.model.name}, {record.model.precision}, {record.profile}, "
        f"{record.plan_size_bytes / 1e6:.1f} MB, by {record.library} for {record.built_for()}; layers: {layers}; {compared}."
    )
