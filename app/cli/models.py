"""`br2net models`: which models come with the package."""

import json
from dataclasses import asdict

import typer

from br2net.cli.options import JsonOption


def models(as_json: JsonOption = False) -> None:
    """List the models that come with the package."""
    from rich.console import Console
    from rich.table import Table

    from br2net.runtime.model_file import read_model_file
    from br2net.zoo import shipped_models

    files = [read_model_file(path) for path in shipped_models().values()]
    if as_json:
        for file in files:
            size_bytes = file.path.stat().st_size
            typer.echo(json.dumps({**asdict(file.metadata), "path": str(file.path), "size_bytes": size_bytes}))
        return
    if not files:
        typer.echo("No models come with this package.")
        return
    table = Table(title="Models in this package")
    for heading in ("name", "backbone", "input", "precision", "size", "trained on", "licence"):
        table.add_column(heading)
    for file in files:
        facts = file.metadata
        megabytes = f"{file.path.stat().st_size / 1e6:.1f} MB"
        size = f"{facts.width}x{facts.height}" + ("" if file.width else " or any")
        table.add_row(facts.name, facts.backbone, size, facts.precision, megabytes, facts.training_data, facts.licence)
    Console().print(table)
