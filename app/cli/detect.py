"""`br2net detect`: blur maps and overlays of photographs."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from br2net.cli.options import (
    BackendOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    PrecisionOption,
    SizeOption,
    parse_size,
)
from br2net.cli.outputs import Outputs, plan_outputs, without_earlier_outputs

if TYPE_CHECKING:
    from rich.progress import Progress

    from br2net.detector import Detector

LONG_RUN = 4  # images from which on a progress bar is worth its line


def detect(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE…", help="Files, folders or glob patterns.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the pictures.")] = Path(
        "blur"
    ),
    model: ModelOption = "mobile",
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    size: SizeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find what is out of focus in photographs.

    Writes <stem>_blur.png (8-bit, white = blurred, size of the photograph) and <stem>_overlay.png into the output
    folder, and prints the blurred fraction of each. A second photograph of the same stem becomes <stem>-2, and so on;
    nothing but an earlier picture of br2net is overwritten. A file that cannot be read is named on stderr while the
    others go on; the exit code is then 2.
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from br2net.detector import Detector
    from br2net.errors import InputError
    from br2net.runtime.images import list_images

    named = list_images(images)
    paths = without_earlier_outputs(named, output)
    places = plan_outputs(paths, output)
    if len(paths) < len(named):
        typer.echo(f"br2net: left out {len(named) - len(paths)} pictures that an earlier run made.", err=True)
    failed = 0
    with Detector.load(model, backend=backend, device=device, precision=precision, size=parse_size(size)) as detector:
        console = Console(stderr=True)
        hidden = len(paths) < LONG_RUN or not console.is_terminal
        columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
            for path in bar.track(paths, description="detecting"):
                try:
                    facts = _detect_one(detector, path, places[path])
                except InputError as error:
                    failed += 1
                    _say(f"br2net: {error}", bar, err=True)
                    continue
                _say(json.dumps(facts) if as_json else _line(facts), bar)
    if not as_json and failed < len(paths):
        typer.echo(f"The pictures are in {output}/.")
    if failed:
        raise typer.Exit(2)


def _detect_one(detector: "Detector", path: Path, place: Outputs) -> dict[str, Any]:
    from br2net.runtime.images import read_image, write_png

    frame = read_image(path)
    result = detector(frame)
    result.save(place.blur)
    write_png(place.overlay, result.overlay(frame))
    height, width = result.map.shape
    return {
        "image": str(path),
        "width": width,
        "height": height,
        "blurred_fraction": round(result.blurred_fraction, 4),
        "latency_ms": round(result.latency_ms, 2),
        "map": str(place.blur),
        "overlay": str(place.overlay),
    }


def _say(text: str, bar: "Progress", err: bool = False) -> None:
    """Print a line; on the terminal where the bar is drawn it goes above the bar."""
    if bar.disable or not (err or sys.stdout.isatty()):
        typer.echo(text, err=err)
    else:
        bar.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _line(facts: dict[str, Any]) -> str:
    percent = 100.0 * facts["blurred_fraction"]
    return (
        f"{facts['image']}: {percent:.1f} % blurred ({facts['width']}x{facts['height']}, {facts['latency_ms']:.1f} ms)"
    )
