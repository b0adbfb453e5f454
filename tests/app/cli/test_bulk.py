"""`br2net bulk` from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Command

pq = pytest.importorskip("pyarrow.parquet", reason="the extra bulk is not installed")


def test_the_rows_are_counted_and_a_second_run_says_what_was_done_before(
    br2net: Command, folder: Path, tmp_path: Path, tiny_onnx: Path
) -> None:
    (folder / "broken.png").write_bytes(b"no image")
    first = br2net("bulk", folder, "-o", tmp_path / "out", "-m", tiny_onnx)
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith(f"{tmp_path / 'out'}: 3 rows, 1 of them with an error, in ")
    second = br2net("bulk", folder, "-o", tmp_path / "out", "-m", tiny_onnx, "--json")
    told = json.loads(second.out)
    assert (told["images"], told["errors"], told["done_before"]) == (0, 0, 3)
    assert pq.read_table(tmp_path / "out" / "rows").num_rows == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "2"], "--workers and --gpus are for --ray."),
        (["--grid", "0"], "A grid of 0 cells a side is not possible"),
        (["--every", "-1"], "One frame in -1.0 seconds is not possible"),
        (["--size", "100x100"], "must be multiples of 32"),
    ],
)
def test_impossible_options_are_one_sentence_and_no_output(
    br2net: Command, folder: Path, tmp_path: Path, tiny_onnx: Path, options: list[str], said: str
) -> None:
    ended = br2net("bulk", folder, "-o", tmp_path / "out", "-m", tiny_onnx, *options)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err and ended.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_missing_input_is_one_sentence(br2net: Command, tmp_path: Path, tiny_onnx: Path) -> None:
    ended = br2net("bulk", tmp_path / "nothing", "-o", tmp_path / "out", "-m", tiny_onnx)
    assert (ended.code, ended.err) == (2, f"br2net: There is no file {tmp_path / 'nothing'}.\n")


@pytest.mark.slow
def test_a_local_ray_gives_the_same_rows(folder: Path, tmp_path: Path, tiny_onnx: Path) -> None:
    pytest.importorskip("ray", reason="the extra bulk is not installed")
    command = [sys.executable, "-c", "from br2net.cli import main; main()", "bulk", str(folder), "-m", str(tiny_onnx)]
    tables = []
    for name, options in (("ray", ["--ray", "local", "--workers", "1"]), ("alone", [])):
        run = [*command, "-o", str(tmp_path / name), "--precision", "fp32", *options]
        ended = subprocess.run(run, capture_output=True, text=True, check=False, timeout=240)
        assert ended.returncode == 0 and "Traceback" not in ended.stderr, ended.stderr
        tables.append(pq.read_table(tmp_path / name / "rows").sort_by("image").to_pylist())
    assert tables[0] == tables[1] and len(tables[0]) == 2
