import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from br2net.cli.build import build
from br2net.errors import Br2netError, InputError, ModelError

from ...builder.engine import conftest as engine_fixtures
from ...builder.engine.conftest import MakeOnnx

make_onnx = engine_fixtures.make_onnx


@pytest.fixture
def command() -> typer.Typer:
    """The verb by itself."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(build)
    return app


@pytest.mark.usefixtures("testbed")
def test_an_engine_and_its_sidecar_are_written_and_told(
    command: typer.Typer,
    make_onnx: MakeOnnx,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BR2NET_CACHE", str(tmp_path / "cache"))
    engine = tmp_path / "tiny.engine"
    run = CliRunner().invoke(command, [str(make_onnx()), "-o", str(engine), "--for", "any", "--json"])
    assert run.exit_code == 0, run.output
    assert run.stdout.count("\n") == 1
    facts = json.loads(run.stdout)
    assert facts["plan_size_bytes"] == engine.stat().st_size
    assert facts["compute_capabilities"] == ["8.6+"]
    assert json.loads((tmp_path / "tiny.engine.json").read_text())["onnx_name"] == "tiny.onnx"


@pytest.mark.parametrize(
    ("options", "name"),
    [([], "mobile-fp16"), (["--precision", "fp32"], "mobile"), (["--precision", "fp16"], "mobile-fp16")],
)
def test_a_shipped_model_is_built_in_fp16_unless_fp32_is_wanted(
    options: list[str], name: str, command: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []

    def build_engine(onnx: Path, *_: object, **__: object) -> None:
        built.append(onnx.stem)
        raise InputError("enough")

    monkeypatch.setattr("br2net.builder.engine.build_engine", build_engine)
    CliRunner().invoke(command, ["mobile", "-o", str(tmp_path / "mobile.engine"), *options])
    assert built == [name]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (["--hardware", "every-gpu"], InputError, "got 'every-gpu'"),
        (["--for", "rtx4090"], InputError, "Unknown GPU target 'rtx4090'"),
        (["--batch", "two"], InputError, "batch must be like 1 or 1:2:4, got 'two'"),
        (["--level", "9"], InputError, "level must be between 0 and 5, got 9"),
        (["--precision", "int8"], InputError, "--precision must be auto, fp32 or fp16"),
        (["--precision", "fp16"], InputError, "no engine of fp16 can be built of it"),
        (["--size", "128x128"], InputError, "fixed width of 64"),
    ],
)
def test_an_option_that_is_not_possible_is_one_sentence_and_no_file(
    options: list[str],
    error: type[Br2netError],
    said: str,
    command: typer.Typer,
    make_onnx: MakeOnnx,
    tmp_path: Path,
) -> None:
    run = CliRunner().invoke(command, [str(make_onnx()), "-o", str(tmp_path / "x.engine"), *options])
    assert isinstance(run.exception, error)
    assert said in str(run.exception)
    assert run.exception.exit_code == 2
    assert not list(tmp_path.glob("*.engine*"))


def test_what_is_no_onnx_is_refused(command: typer.Typer, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"hello world")
    run = CliRunner().invoke(command, [str(tmp_path / "x.onnx"), "-o", str(tmp_path / "x.engine"), "--for", "any"])
    assert isinstance(run.exception, ModelError)
    assert not list(tmp_path.glob("*.engine*"))
