"""`br2net export`: from a network to an ONNX file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from br2net.cli.options import JsonOption, parse_size

if TYPE_CHECKING:
    from br2net.network import Checkpoint


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A shipped model, a checkpoint, or with "
            "--random-weights a network: resnext101, resnext50, vgg16, mobile.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The ONNX file to write.")],
    size: Annotated[
        str | None, typer.Option(metavar="WxH|any", help="Input size, multiples of 32; 'any' leaves it open.")
    ] = None,
    batch: Annotated[str, typer.Option(metavar="N|any", help="Batch size; 'any' leaves it open.")] = "1",
    plain: Annotated[bool, typer.Option("--plain", help="The unrestructured graph, as the paper has it.")] = False,
    method: Annotated[
        str | None,
        typer.Option(help="How the restructured form resizes, shifts and sums: matrices, grouped or slices."),
    ] = None,
    random_weights: Annotated[bool, typer.Option("--random-weights", help="For timing work.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Export a network as ONNX: restructured (same map, half the work) unless --plain, with its metadata inside.

    ONNX Runtime runs the file on a real photograph, and it appears only if its map agrees with PyTorch's to 1e-4.
    """
    from typing import get_args

    from br2net.builder import ExportOptions, export_onnx, inspect_onnx
    from br2net.errors import InputError
    from br2net.network.resampling import Method

    if method is not None and method not in get_args(Method):
        raise InputError(f"There is no method {method}; there are {', '.join(get_args(Method))}.")
    if batch != "any" and not batch.isdecimal():
        raise InputError(f"A batch size is a number or 'any'; {batch!r} is neither.")
    options = ExportOptions(
        size=None if size == "any" else parse_size(size),
        any_size=size == "any",
        batch=None if batch == "any" else int(batch),
        plain=plain,
        method=method,  # type: ignore[arg-type]  # checked above
    )
    metadata = export_onnx(_checkpoint(model, random_weights), output, options)
    summary = inspect_onnx(output)
    difference = metadata.figures["export_difference"]
    facts = {
        "model": metadata.name,
        "output": str(output),
        "form": metadata.form,
        "width": metadata.width,
        "height": metadata.height,
        "macs": summary.macs,
        "parameters": summary.parameters,
        "export_difference": difference,
    }
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        typer.echo(
            f"{output}: {metadata.name}, {metadata.form}, {metadata.width}x{metadata.height}, "
            f"{summary.macs / 1e9:.2f} GMAC, {summary.parameters / 1e6:.2f} M parameters; "
            f"map within {difference:.1e} of PyTorch's."
        )


def _checkpoint(model: str, random_weights: bool) -> "Checkpoint":
    from br2net.errors import ModelError
    from br2net.network import NAMED_CONFIGS, BR2Net, Checkpoint, load_checkpoint
    from br2net.network.checkpoint import ModelFacts
    from br2net.zoo import find_model

    if random_weights:
        if model not in NAMED_CONFIGS:
            raise ModelError(f"There is no network {model}; there are {', '.join(NAMED_CONFIGS)}.")
        return Checkpoint(BR2Net(NAMED_CONFIGS[model]).eval(), ModelFacts(model))
    path = find_model(model, ".pth")
    if path.suffix == ".onnx":
        raise ModelError(f"{path} is exported already; name a checkpoint (.pth) or a shipped model.")
    return load_checkpoint(path)
