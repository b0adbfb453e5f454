"""`br2net export`: from a network to an ONNX file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from br2net.cli.options import JsonOption, parse_size, read_frames

if TYPE_CHECKING:
    from br2net.builder import ExportOptions
    from br2net.builder.precision import Fp16Result
    from br2net.network import Checkpoint

PRECISIONS = ("fp32", "fp16")


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A shipped model, a checkpoint, with --precision fp16 also an fp32 ONNX file, or with "
            "--random-weights a network: resnext101, resnext50, vgg16, mobile.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The ONNX file to write.")],
    precision: Annotated[str, typer.Option(metavar="fp32|fp16", help="What the file computes in.")] = "fp32",
    size: Annotated[
        str | None, typer.Option(metavar="WxH|any", help="Input size, multiples of 32; 'any' leaves it open.")
    ] = None,
    batch: Annotated[
        str | None, typer.Option(metavar="N|any", help="Batch size, 1 if not said; 'any' is open.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="The unrestructured graph, as the paper has it.")] = False,
    method: Annotated[
        str | None,
        typer.Option(help="How the restructured form resizes, shifts and sums: matrices, grouped or slices."),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option("--images", metavar="PATH", help="FP16: photographs that show which values occur, and compare."),
    ] = None,
    random_weights: Annotated[bool, typer.Option("--random-weights", help="For timing work.")] = False,
    with_preprocessing: Annotated[
        bool,
        typer.Option("--with-preprocessing", help="Frames in, maps of their size out: for other runtimes and servers."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Export a network as ONNX: restructured (same map, half the work) unless --plain, with its metadata inside.

    ONNX Runtime runs the file on a real photograph, and it appears only if its map agrees with PyTorch's to 1e-4. FP16
    is cast from that by NVIDIA's AutoCast, which sees --images (or the photograph in this package) and keeps in fp32
    what would lose too much; it appears only if its maps agree with those of fp32 on the same photographs.

    With --with-preprocessing the file takes uint8 BGR frames (N, H, W, 3) of any size and gives their maps (N, H, W). MODEL may
    then be an exported or calibrated ONNX file as well.
    """
    import tempfile

    from br2net.builder.precision import to_fp16
    from br2net.builder.with_preprocessing import add_preprocessing
    from br2net.errors import InputError
    from br2net.files import check_suffix

    _check_precision(precision, model)
    check_suffix(output, ".onnx")
    if precision == "fp32" and images:
        raise InputError("--images is for --precision fp16; fp32 is compared on the photograph in this package.")
    exported = Path(model) if Path(model).suffix == ".onnx" and (with_preprocessing or precision == "fp16") else None
    if exported is not None and (size or batch or plain or method or random_weights):
        raise InputError(f"{exported} is exported already; its form and size cannot be changed.")
    frames, fp16 = read_frames(images), None
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / output.name if with_preprocessing else output
        source = exported
        if source is None:
            from br2net.builder import export_onnx

            options = _options(size, batch, plain, method)
            source = Path(folder) / f"fp32-{output.name}" if precision == "fp16" else made
            export_onnx(_checkpoint(model, random_weights), source, options)
        if precision == "fp16":
            fp16 = to_fp16(source, made, frames)
        else:
            made = source
        if with_preprocessing:
            add_preprocessing(made, output)
        _report(made, output, fp16, as_json)


def _check_precision(precision: str, model: str) -> None:
    from br2net.errors import InputError

    if precision == "int8":
        raise InputError(f"INT8 needs photographs: use `br2net calibrate {model} --images FOLDER -o FILE`.")
    if precision not in PRECISIONS:
        raise InputError(f"--precision must be {' or '.join(PRECISIONS)}, got {precision!r}.")


def _options(size: str | None, batch: str | None, plain: bool, method: str | None) -> "ExportOptions":
    from typing import get_args

    from br2net.builder import ExportOptions
    from br2net.errors import InputError
    from br2net.network.resampling import Method

    batch = batch or "1"
    if method is not None and method not in get_args(Method):
        raise InputError(f"--method must be one of {', '.join(get_args(Method))}, got {method!r}.")
    if batch != "any" and not batch.isdecimal():
        raise InputError(f"--batch must be a number or 'any', got {batch!r}.")
    return ExportOptions(
        size=None if size == "any" else parse_size(size),
        any_size=size == "any",
        batch=None if batch == "any" else int(batch),
        plain=plain,
        method=method,  # type: ignore[arg-type]  # checked above
    )


def _report(model: Path, output: Path, fp16: "Fp16Result | None", as_json: bool) -> None:
    """Describe the model; `output` is where it is now, with or without what surrounds it."""
    from br2net.builder import inspect_onnx

    summary = inspect_onnx(model)
    metadata = summary.metadata
    assert metadata is not None  # this package wrote it
    facts: dict[str, Any] = {
        "model": metadata.name,
        "output": str(output),
        "form": metadata.form,
        "precision": metadata.precision,
        "width": metadata.width,
        "height": metadata.height,
        "macs": summary.macs,
        "parameters": summary.parameters,
        "export_difference": metadata.figures.get("export_difference"),
    }
    if fp16 is not None:
        facts |= {"kept_fp32": list(fp16.kept_fp32), **fp16.difference.figures()}
    if as_json:
        typer.echo(json.dumps(facts))
        return
    if fp16 is None:
        compared = f"map within {metadata.figures['export_difference']:.1e} of PyTorch's"
    else:
        names = f": {', '.join(fp16.kept_fp32)}" if fp16.kept_fp32 else ""
        kept = f"{len(fp16.kept_fp32)} of {len(summary.layers)} convolutions and matrix products{names}"
        compared = f"maps differ from fp32's by {fp16.difference}; kept in fp32: {kept}"
    typer.echo(
        f"{output}: {metadata.name}, {metadata.form}, {metadata.precision}, {metadata.width}x{metadata.height}, "
        f"{summary.macs / 1e9:.2f} GMAC, {summary.parameters / 1e6:.2f} M parameters; {compared}."
    )


def _checkpoint(model: str, random_weights: bool) -> "Checkpoint":
    from br2net.errors import ModelError
    from br2net.network import NAMED_CONFIGS, BR2Net, Checkpoint, load_checkpoint
    from br2net.network.checkpoint import ModelFacts
    from br2net.zoo import find_model

    if random_weights:
        if model not in NAMED_CONFIGS:
            raise ModelError(f"Unknown network {model!r}; choose one of: {', '.join(NAMED_CONFIGS)}.")
        return Checkpoint(BR2Net(NAMED_CONFIGS[model]).eval(), ModelFacts(model))
    path = find_model(model, ".pth")
    if path.suffix == ".onnx":
        raise ModelError(f"{path} is exported already; name a checkpoint (.pth) or a shipped model.")
    return load_checkpoint(path)
