"""The command line. Each verb is one module here; its heavy imports stand inside its function, so that `--help` is quick."""

import functools
import io
import os
import sys
from collections.abc import Callable
from typing import Any, cast

import typer

from br2net import __version__
from br2net.cli.benchmark import benchmark
from br2net.cli.build import build
from br2net.cli.bulk import bulk
from br2net.cli.calibrate import calibrate
from br2net.cli.camera import PortAfterWeb, camera
from br2net.cli.deploy import deploy
from br2net.cli.detect import detect
from br2net.cli.doctor import doctor
from br2net.cli.evaluate import evaluate
from br2net.cli.export import export
from br2net.cli.inspect import inspect
from br2net.cli.models import models
from br2net.cli.train import train
from br2net.errors import Br2netError

EXTRAS = {
    "torch": "build",
    "onnxscript": "build",
    "modelopt": "build",
    "polygraphy": "build",
    "filelock": "build",
    "fsspec": "bulk",
    "pyarrow": "bulk",
}
# click's UsageError, wherever the installed Typer keeps it
USAGE_ERROR = cast("type[Exception]", typer.BadParameter.__base__)
VERBS = (detect, camera, evaluate, train, export, calibrate, build, inspect, benchmark, models, bulk, deploy, doctor)

app = typer.Typer(
    name="br2net",
    help="Finds what is out of focus, pixel by pixel.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _stoppable(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb, ending with 130 on Ctrl-C and quietly where the reader of its output has gone, as `head` does."""

    @functools.wraps(verb)
    def run(*args: object, **options: object) -> None:
        try:
            verb(*args, **options)
        except KeyboardInterrupt:
            typer.echo("br2net: stopped.", err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
            raise typer.Exit(0) from None

    return run


for verb in VERBS:
    app.command(cls=PortAfterWeb if verb is camera else None)(_stoppable(verb))


def _print_version(wanted: bool) -> None:
    if wanted:
        from br2net.runtime.native import status

        built = status()
        kernels = f"{' '.join(built.fatbin_architectures)} (nvcc {built.nvcc})"
        typer.echo(f"br2net {__version__}")
        typer.echo(f"native module: {built.how or f'none: {built.reason}'}")
        typer.echo(f"CUDA kernels: {kernels if built.fatbin_architectures else f'none: {built.fatbin_reason}'}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version, and how it was built."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command line: exit 0 on success, 2 on wrong use or bad input, 3 when a gate refuses, 130 on Ctrl-C."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name need not be valid text
    try:
        code = app(prog_name="br2net", standalone_mode=False)
    except USAGE_ERROR as error:
        sys.exit(_refused(error))
    except Br2netError as error:
        typer.echo(f"br2net: {error}", err=True)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in EXTRAS:
            raise
        typer.echo(
            f"br2net: this needs {package}, which is not installed; `pip install 'br2net[{EXTRAS[package]}]'` brings it.",
            err=True,
        )
        sys.exit(Br2netError.exit_code)
    except MemoryError:
        typer.echo("br2net: there is not enough memory for this.", err=True)
        sys.exit(Br2netError.exit_code)
    sys.exit(code)


def _refused(error: Any) -> int:
    """Say in one sentence why the arguments cannot be used; where there were none, the help is the answer."""
    if error.ctx is not None and type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        command = error.ctx.command_path if error.ctx is not None else "br2net"
        typer.echo(f"br2net: {error.format_message().rstrip('.')}; `{command} --help` tells what there is.", err=True)
    return int(error.exit_code)
