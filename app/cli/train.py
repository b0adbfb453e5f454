"""`br2net train`: train a network by a recipe."""

import json
from pathlib import Path
from typing import Annotated

import typer

from br2net.cli.options import JsonOption


def train(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Folder with images/ and masks/, or the data folder of --mix.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the run.")] = Path(
        "runs/mobile"
    ),
    recipe: Annotated[str, typer.Option(help="Named recipe: mobile, mobile-mix or paper.")] = "mobile",
    mix: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON that names several sets below DATASET, with weights.")
    ] = None,
    split: Annotated[Path | None, typer.Option(help="List of the photographs to use, one stem a line.")] = None,
    positive: Annotated[str, typer.Option(help="What white means in the masks: blurred or sharp.")] = "blurred",
    invert_masks: Annotated[bool, typer.Option("--invert-masks", help="The same as --positive sharp.")] = False,
    backbone_weights: Annotated[
        Path | None, typer.Option(help="ImageNet weights, .pth or .npz; downloaded if not named.")
    ] = None,
    random_weights: Annotated[bool, typer.Option("--random-weights", help="Start the backbone from nothing.")] = False,
    start: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A checkpoint to start from, for example best.pth of an earlier run."),
    ] = None,
    sharp: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photographs in focus everywhere, for synthetic defocus.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    max_minutes: Annotated[float, typer.Option(help="End the schedule after so many minutes; 0 for never.")] = 0.0,
    check_minutes: Annotated[float, typer.Option(help="Minutes between two held-out checks.")] = 4.0,
    save_minutes: Annotated[float, typer.Option(help="Minutes between two saved states to resume from.")] = 4.0,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    training_data: Annotated[str, typer.Option(help="What the model says it was trained on.")] = "",
    licence: Annotated[str, typer.Option(help="Terms that the model states.")] = "unknown",
    as_json: JsonOption = False,
) -> None:
    """Train a network. The same command again resumes a run that was stopped.

    The folder of the run gets best.pth (the averaged weights that did best on the held-out photographs), last.pth (the
    state to resume from), log.jsonl and recipe.json. Export the result with `br2net export DIR/best.pth -o x.onnx`.
    """
    from dataclasses import replace

    from br2net.errors import InputError
    from br2net.training import RECIPES, TrainingJob
    from br2net.training import train as run

    if recipe not in RECIPES:
        raise InputError(f"There is no recipe {recipe}; there are {', '.join(RECIPES)}.")
    if positive not in ("blurred", "sharp"):
        raise InputError(f"--positive is blurred or sharp, not {positive}.")
    if epochs is not None and epochs < 1:
        raise InputError(f"--epochs starts at 1; {epochs} would train nothing.")
    chosen = RECIPES[recipe] if epochs is None else replace(RECIPES[recipe], epochs=epochs)
    job = TrainingJob(
        dataset=dataset,
        output=output,
        mix=mix,
        split=split,
        invert_masks=invert_masks or positive == "sharp",
        backbone_weights=backbone_weights,
        random_weights=random_weights,
        start=start,
        sharp=sharp,
        max_minutes=max_minutes,
        check_minutes=check_minutes,
        save_minutes=save_minutes,
        seed=seed,
        training_data=training_data or str(dataset),
        licence=licence,
    )
    checkpoint = run(chosen, job)
    facts = {"checkpoint": str(output / "best.pth"), "recipe": recipe, **checkpoint.figures}
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        figures = ", ".join(f"{name} {value:.4f}" for name, value in checkpoint.figures.items())
        typer.echo(f"{output / 'best.pth'}: {figures}")
