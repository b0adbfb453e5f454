"""The command line. Each verb is a module here; its heavy imports stand inside its function, so that `--help` is quick."""

import functools
import io
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

import typer

from br2net import __version__
from br2net.cli.camera import PortAfterWeb
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
# Each is a function in the module of its name. Importing the functions here would hide the modules.
VERBS = ("detect", "camera", "evaluate", "train", "export", "calibrate", "build", "inspect", "benchmark", "models", "bulk",
         "deploy", "doctor")  # fmt: skip

app = typer.Typer(
    name="br2net",
    help="Finds what is out of focus, pixel by pixel.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _stoppable(verb: Callable[..., None]) -> Callable[..., None]:
    """Let the verb end with 130 on Ctrl-C, and quietly if the reader of its output has gone, for example `head`."""

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


for name in VERBS:
    verb = getattr(import_module(f"br2net.cli.{name}"), name)
    app.command(cls=PortAfterWeb if name == "camera" else None)(_stoppable(verb))


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
        sys.exit(app(prog_name="br2net", standalone_mode=False))
    except USAGE_ERROR as error:
        sys.exit(_refused(error))
    except Br2netError as error:
        _fail(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in EXTRAS:
            raise
        _fail(f"this needs {package}, which is not installed. Run `pip install 'br2net[{EXTRAS[package]}]'`.")
    except MemoryError:
        _fail("there is not enough memory for this.")


def _fail(text: str, code: int = Br2netError.exit_code) -> None:
    typer.echo(f"br2net: {text}", err=True)
    sys.exit(code)


def _refused(error: Any) -> int:
    """Print in one sentence why the arguments cannot be used; without any arguments, print the help."""
    if error.ctx is not None and type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        command = error.ctx.command_path if error.ctx is not None else "br2net"
        typer.echo(f"br2net: {error.format_message().rstrip('.')}; see `{command} --help`.", err=True)
    return int(error.exit_code)
