"""`br2net models`: the models that come with the package."""

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

    files = {name: read_model_file(path) for name, path in shipped_models().items()}
    if as_json:
        for name, file in files.items():
            own = {"name": name, "path": str(file.path), "size_bytes": file.path.stat().st_size}
            typer.echo(json.dumps(asdict(file.metadata) | own))
        return
    if not files:
        typer.echo("No models come with this package.")
        return
    table = Table(
        "name", "backbone", "input", "precision", "size", title="Models in this package", title_justify="left"
    )
    for name, file in files.items():
        facts = file.metadata
        size = f"{facts.width}x{facts.height}" + ("" if file.width else " or any")
        megabytes = f"{file.path.stat().st_size / 1e6:.1f} MB"
        table.add_row(name, facts.backbone, size, facts.precision, megabytes)
    Console().print(table)
    names_of: dict[tuple[str, str], list[str]] = {}
    for name, file in files.items():
        names_of.setdefault((file.metadata.training_data, file.metadata.licence), []).append(name)
    for (training_data, licence), names in names_of.items():  # sentences, too long for a column
        typer.echo(f"Training data of {', '.join(names)}: {training_data}")
        typer.echo(f"Licence of {', '.join(names)}: {licence}")
