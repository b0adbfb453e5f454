"""`br2net deploy`: models made ready for a server."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from br2net.cli.options import JsonOption


def deploy(
    target: Annotated[str, typer.Argument(metavar="triton", help="The kind of server.")],
    models: Annotated[list[str], typer.Argument(metavar="FILE…", help="ONNX files, engines, or shipped models.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="The model repository.")],
    name: Annotated[str | None, typer.Option(help="Of the model on the server; its file's name if not said.")] = None,
    backend: Annotated[
        str | None,
        typer.Option(metavar="onnxruntime|tensorrt|python", help="Triton's; what the file needs if not said."),
    ] = None,
    largest_batch: Annotated[int, typer.Option(help="Images that the server puts together, at most.")] = 8,
    delay: Annotated[int, typer.Option(metavar="µs", help="How long one waits for others; 0: no batching.")] = 2000,
    instances: Annotated[int, typer.Option(help="Copies of the model that compute at the same time.")] = 1,
    cpu: Annotated[bool, typer.Option("--cpu", help="Run them on the CPU.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a model repository for NVIDIA's Triton Inference Server.

    Each FILE becomes a model with its configuration: dynamic batching, instances, warm-up, and the facts that
    `Detector.load("triton://host:8000/NAME")` asks for. A changed file becomes the next version.
    """
    from br2net.builder.triton.repository import FILES, ServingOptions
    from br2net.builder.triton.repository import deploy as deploy_one
    from br2net.errors import InputError
    from br2net.zoo import find_model

    if target != "triton":
        raise InputError(f"The kind of server must be triton, got {target!r}.")
    if backend is not None and backend not in FILES:
        raise InputError(f"--backend must be one of {', '.join(FILES)}, got {backend!r}.")
    if name is not None and len(models) > 1:
        raise InputError("--name is for one model.")
    options = ServingOptions(backend, largest_batch, delay, instances, not cpu)  # type: ignore[arg-type]  # checked above
    for model in models:
        done = deploy_one(find_model(model), output, options, name)
        typer.echo(
            json.dumps(asdict(done), default=str)
            if as_json
            else f"{done.folder}: version {done.version}, backend {done.backend}."
        )
    if not as_json:
        typer.echo(f"tritonserver --model-repository={output.resolve()}")
