"""`br2net build`: from an ONNX file to a TensorRT engine."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from br2net.cli.options import JsonOption

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from br2net.runtime.engine_file import EngineRecord


def build(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An ONNX file of any precision, or a shipped model.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The engine file to write.")],
    batch: Annotated[
        str | None, typer.Option(metavar="N|MIN:OPT:MAX", help="Batch sizes, of a model that leaves them open.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH|MIN:OPT:MAX", help="Input sizes, of a model that leaves them open.")
    ] = None,
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

    Precision is what the ONNX file says. Beside the engine, a plain plan that trtexec loads, stands FILE.json.
    """
    from br2net.builder.comparison import Tolerance
    from br2net.builder.engine import BuildOptions, Hardware, build_engine, refit_engine
    from br2net.builder.engine.options import parse_profile
    from br2net.errors import InputError
    from br2net.runtime.model_file import read_model_file
    from br2net.zoo import find_model

    onnx = find_model(model)
    if refit is not None:
        _report(output, refit_engine(refit, onnx, output), as_json)
        return
    if hardware not in [item.value for item in Hardware]:
        raise InputError(f"There is no {hardware!r}; --hardware is {', '.join(item.value for item in Hardware)}.")
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
    photographs = _frames(images or [])
    with _logged(log):
        record = build_engine(onnx, output, options, photographs, accepted, show_progress=not as_json)
    _report(output, record, as_json)


@contextmanager
def _logged(path: Path | None) -> Iterator[None]:
    """Write what TensorRT says within the block to `path`, whether or not the block comes to its end."""
    from br2net.files import write_text

    try:
        yield
    finally:
        said = sys.modules.get("br2net.runtime.tensorrt.log")  # not there where nothing was asked of TensorRT
        if path is not None and said is not None:
            write_text(path, "".join(f"{line}\n" for line in said.kept_log().lines()))


def _frames(images: list[str]) -> "list[NDArray[np.uint8]]":
    from br2net.runtime.images import list_images, read_image

    return [read_image(path) for path in list_images(images)] if images else []


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
