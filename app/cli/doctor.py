"""`br2net doctor`: what works on this machine, and how to fix what does not."""

import json

import typer

from br2net.cli.options import JsonOption

STYLES = {"works": "green", "missing": "yellow", "fails": "red", "not needed": "dim"}


def doctor(as_json: JsonOption = False) -> None:
    """Check GPU, driver, TensorRT, OpenVINO, OpenCV and cameras; print what works and the one line that fixes the rest.

    It changes nothing, and ends with 0 whatever it finds.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from br2net import __version__
    from br2net.doctor import Machine, examine

    findings = examine(Machine(), __version__)
    if as_json:
        typer.echo(json.dumps([item.to_json() for item in findings], indent=2))
        return
    table = Table("", "", "found", show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for item in findings:
        style = STYLES[item.state.value]
        table.add_row(item.name, f"[{style}]{item.state.value}[/]", escape(item.detail))
    console = Console()
    console.print(table)
    fixes: dict[str, str] = {}
    for item in findings:
        if item.fix:
            fixes.setdefault(item.fix, item.name)
    if fixes:
        typer.echo("\nTo fix:")
        for line, name in fixes.items():
            typer.echo(f"  {name}: {line}")
