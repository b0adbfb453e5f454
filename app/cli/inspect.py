"""`br2net inspect`: what a model file is."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from br2net.cli.options import JsonOption


def inspect(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="An ONNX file, an engine or its sidecar, a checkpoint, or a shipped model."
        ),
    ],
    layers: Annotated[bool, typer.Option("--layers", help="List every layer that multiplies (ONNX).")] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell what a model is: its metadata, inputs and outputs, its work, its layers by precision.

    Of an engine: which TensorRT wrote it for which GPU, from what, and whether it is whole and runs here. It is not
    loaded, so that an engine of another TensorRT or another machine is explained too.
    """
    from br2net.builder.engine.inspection import inspect_engine, is_engine
    from br2net.zoo import find_model

    path = find_model(file)
    if path.suffix in (".pth", ".pt"):
        _inspect_checkpoint(path, as_json)
    elif is_engine(path):
        summary = inspect_engine(path)
        if as_json:
            typer.echo(json.dumps(summary.facts()))
        else:
            _print_table(summary.path, summary.rows())
    else:
        _inspect_onnx(path, layers, as_json)


def _inspect_onnx(path: Path, layers: bool, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from br2net.builder.inspection import inspect_onnx

    summary = inspect_onnx(path)
    if as_json:
        facts = {"kind": "onnx", **asdict(summary), "layers_by_precision": summary.layers_by_precision()}
        typer.echo(json.dumps(facts, default=str))
        return
    _print_table(path, summary.rows())
    if layers:
        listing = Table("layer", "operator", "output", "MMAC", "parameters", "precision")
        for layer in summary.layers:
            shape = "x".join(str(item) for item in layer.output_shape)
            cells = (f"{layer.macs / 1e6:.2f}", f"{layer.parameters:,}", layer.precision)
            listing.add_row(layer.name, layer.operator, shape, *cells)
        Console().print(listing)


def _print_table(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=str(path), show_header=False, title_justify="left")
    for name, value in rows:
        table.add_row(name, value)
    Console().print(table)


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
