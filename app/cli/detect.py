"""`br2net detect`: blur maps and overlays of photographs."""

import json
from dataclasses import dataclass
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

if TYPE_CHECKING:
    from br2net.detector import Detector

LONG_RUN = 4  # images from which on a progress bar is worth its line
OUTPUT_ENDINGS = ("_blur", "_overlay")


@dataclass(frozen=True)
class Outputs:
    """Where the two pictures of one image go."""

    blur: Path
    overlay: Path


def detect(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE…", help="Files, folders or glob patterns.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the pictures.")] = Path("blur"),
    model: ModelOption = "mobile",
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    size: SizeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find what is out of focus in photographs.

    Writes <stem>_blur.png (8-bit, white = blurred, size of the photograph) and <stem>_overlay.png into the output
    folder, and prints the blurred fraction of each. A second photograph of the same stem becomes <stem>-2, and so on; an
    input is never overwritten. A file that cannot be read is named on stderr while the others go on; the exit code is
    then 2.
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from br2net.detector import Detector
    from br2net.errors import ImageError
    from br2net.runtime.images import list_images
    from br2net.zoo import find_model

    paths = _without_earlier_outputs(list_images(images), output)
    places = plan_outputs(paths, output)
    failed = 0
    with Detector.load(
        find_model(model), backend=backend, device=device, precision=precision, size=parse_size(size)
    ) as detector:
        console = Console(stderr=True)
        hidden = len(paths) < LONG_RUN or not console.is_terminal
        columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
            for path in bar.track(paths, description="detecting"):
                try:
                    facts = _detect_one(detector, path, places[path])
                except ImageError as error:
                    failed += 1
                    typer.echo(f"br2net: {error}", err=True)
                    continue
                typer.echo(json.dumps(facts) if as_json else _line(facts))
    if not as_json and failed < len(paths):
        typer.echo(f"The pictures are in {output}/.")
    if failed:
        raise typer.Exit(2)


def plan_outputs(paths: list[Path], folder: Path) -> dict[Path, Outputs]:
    """Choose where the pictures of each image go: by its stem, numbered where that is taken by another image or an input.

    Names compare without regard to case, since some file systems do not tell it apart.
    """
    taken = {str(path.resolve()).casefold() for path in paths}
    places = {}
    for path in paths:
        number = 1
        while True:
            stem = path.stem if number == 1 else f"{path.stem}-{number}"
            place = Outputs(*(folder / f"{stem}{ending}.png" for ending in OUTPUT_ENDINGS))
            names = {str(item.resolve()).casefold() for item in (place.blur, place.overlay)}
            if not names & taken:
                break
            number += 1
        taken |= names
        places[path] = place
    return places


def _without_earlier_outputs(paths: list[Path], output: Path) -> list[Path]:
    """Leave out pictures that an earlier run wrote beside their photographs, where the output folder is an input folder."""
    stems = {path.stem for path in paths}
    kept = []
    for path in paths:
        made_here = path.suffix == ".png" and path.parent.resolve() == output.resolve()
        if made_here and any(path.stem.endswith(end) and path.stem.removesuffix(end) in stems for end in OUTPUT_ENDINGS):
            continue
        kept.append(path)
    return kept


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


def _line(facts: dict[str, Any]) -> str:
    percent = 100.0 * facts["blurred_fraction"]
    return f"{facts['image']}: {percent:.1f} % blurred ({facts['width']}x{facts['height']}, {facts['latency_ms']:.1f} ms)"
