"""`br2net inspect`: what a model file is."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from br2net.cli.options import JsonOption


def inspect(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An ONNX file, a checkpoint, or a shipped model.")],
    layers: Annotated[bool, typer.Option("--layers", help="List every layer that multiplies.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell what a model is: its metadata, inputs and outputs, multiply-accumulates and parameters."""
    from rich.console import Console
    from rich.table import Table

    from br2net.builder.inspection import inspect_onnx
    from br2net.zoo import find_model

    path = find_model(file)
    if path.suffix in (".pth", ".pt"):
        _inspect_checkpoint(path, as_json)
        return
    summary = inspect_onnx(path)
    if as_json:
        typer.echo(json.dumps(asdict(summary), default=str))
        return
    console = Console()
    table = Table(title=str(path), show_header=False, title_justify="left")
    for name, value in summary.rows():
        table.add_row(name, value)
    console.print(table)
    if layers:
        listing = Table("layer", "operator", "output", "MMAC", "parameters", "type")
        for layer in summary.layers:
            shape = "x".join(str(item) for item in layer.output_shape)
            cells = (f"{layer.macs / 1e6:.2f}", f"{layer.parameters:,}", layer.element_type)
            listing.add_row(layer.name, layer.operator, shape, *cells)
        console.print(listing)


def _inspect_checkpoint(path: Path, as_json: bool) -> None:
    from br2net.network import load_checkpoint

    checkpoint = load_checkpoint(path)
    facts = {
        "file": str(path),
        "kind": "checkpoint",
        "config": json.loads(checkpoint.model.config.to_json()),
        "parameters": sum(item.numel() for item in checkpoint.model.parameters()),
        "facts": asdict(checkpoint.facts),
        "figures": checkpoint.figures,
    }
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        for key, value in facts.items():
            typer.echo(f"{key}: {value}")
