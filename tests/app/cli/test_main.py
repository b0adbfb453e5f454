"""How a command ends, whatever happens, and what it imports on the way."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import br2net as package
from br2net.detector import Detector
from br2net.errors import GateError
from br2net.runtime.native import status

from .conftest import Command

RUN = "from br2net.cli import main; main()"
IMPORTED = "import atexit, sys; atexit.register(lambda: print(sorted({names!r} & set(sys.modules)), file=sys.stderr))"


def run_python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_the_version_is_printed_with_how_it_was_built(br2net: Command) -> None:
    ended = br2net("--version")
    version, native, kernels = ended.out.splitlines()
    assert (ended.code, version) == (0, f"br2net {package.__version__}")
    built = status()
    assert native == f"native module: {built.how or f'none: {built.reason}'}"
    assert kernels.startswith("CUDA kernels: sm_" if built.fatbin_architectures else "CUDA kernels: none: ")


@pytest.mark.parametrize(
    ("arguments", "reason", "command"),
    [
        (("telescope",), "No such command 'telescope'", "br2net"),
        (("detect",), "Missing argument 'IMAGE…'", "br2net detect"),
        (("detect", "x.jpg", "--nonsense"), "No such option: --nonsense", "br2net detect"),
        (("benchmark", "x.onnx", "--iterations", "many"), "Invalid value for '--iterations'", "br2net benchmark"),
    ],
)
def test_wrong_use_ends_with_2_and_one_sentence(
    br2net: Command, arguments: tuple[str, ...], reason: str, command: str
) -> None:
    ended = br2net(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("br2net: ") and ended.err.count("\n") == 1
    assert reason in ended.err and f"`{command} --help`" in ended.err


def test_no_arguments_print_the_help(br2net: Command) -> None:
    ended = br2net()
    assert ended.code == 2 and "Usage: br2net" in ended.out + ended.err
    assert all(verb in ended.out + ended.err for verb in ("detect", "camera", "doctor"))


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (GateError("Too far off."), 3, "br2net: Too far off.\n"),
        (KeyboardInterrupt(), 130, "br2net: stopped.\n"),
        (MemoryError(), 2, "br2net: there is not enough memory for this.\n"),
    ],
)
def test_an_error_ends_with_its_code_and_one_sentence(
    br2net: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, sentence: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Detector, "load", fail)
    ended = br2net("detect", folder, "-o", folder / "out")
    assert (ended.code, ended.out, ended.err) == (code, "", sentence)


def test_ctrl_c_stops_a_run_with_130(folder: Path, tiny_onnx: Path, tmp_path: Path) -> None:
    interrupt = (
        "import os, signal, br2net.detector as d; call = d.Detector.__call__\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background starts with it ignored
        f"d.Detector.__call__ = lambda *a: (os.kill(os.getpid(), {int(signal.SIGINT)}), call(*a))[1]\n"
    )
    ended = run_python(interrupt + RUN, "detect", folder, "-o", tmp_path / "out", "-m", tiny_onnx)
    assert ended.returncode == 130
    assert ended.stderr == "br2net: stopped.\n"
    assert not list(tmp_path.glob("out/.*"))  # nothing half-written


def test_a_reader_that_has_gone_is_no_error(folder: Path, tiny_onnx: Path, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", RUN, "detect", str(folder), "-o", str(tmp_path / "out"), "-m", str(tiny_onnx)]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_detect_imports_no_torch(folder: Path, tiny_onnx: Path, tmp_path: Path) -> None:
    watch = IMPORTED.format(names={"torch", "onnxruntime", "onnxscript"})
    ended = run_python(f"{watch}; {RUN}", "detect", folder, "-o", tmp_path / "out", "-m", tiny_onnx)
    assert (ended.returncode, ended.stderr) == (0, "[]\n")


def test_help_imports_nothing_heavy() -> None:
    watch = IMPORTED.format(names={"torch", "numpy", "cv2", "onnx", "openvino", "onnxruntime"})
    ended = run_python(f"{watch}; {RUN}", "--help")
    assert (ended.returncode, ended.stderr) == (0, "[]\n")
    assert "detect" in ended.stdout


def test_importing_the_package_imports_no_numpy_yet() -> None:
    ended = run_python(IMPORTED.format(names={"torch", "numpy", "cv2"}) + "; import br2net")
    assert ended.stderr == "[]\n"


@pytest.mark.parametrize("verb", ["export", "train", "build"])
def test_a_verb_whose_packages_are_missing_says_which_line_brings_them(verb: str, tmp_path: Path) -> None:
    blocked = "import sys; sys.modules.update(dict.fromkeys(('torch', 'onnxscript', 'polygraphy', 'tensorrt', 'tensorrt_rtx')))"
    (tmp_path / "x.onnx").write_bytes(b"")
    ended = run_python(f"{blocked}; {RUN}", verb, tmp_path / "x.onnx", "-o", tmp_path / "y")
    assert ended.returncode == 2
    assert ended.stderr.startswith("br2net: ") and ended.stderr.count("\n") == 1 and "Traceback" not in ended.stderr


@pytest.mark.parametrize("verb", ["doctor", "--version"])
def test_a_machine_on_which_opencv_does_not_load_can_be_examined(verb: str) -> None:
    broken = (
        "import sys; from importlib.abc import MetaPathFinder\n"
        "class Broken(MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'cv2': raise ImportError('libGL.so.1: cannot open shared object file')\n"
        "sys.meta_path.insert(0, Broken())\n"
    )
    ended = run_python(broken + RUN, verb)
    assert (ended.returncode, ended.stderr) == (0, "")
    if verb == "doctor":
        assert "libGL.so.1" in ended.stdout and "sudo apt install libgl1" in ended.stdout


def test_a_verb_does_not_hide_its_module() -> None:
    import br2net.cli.detect as module

    assert module.detect.__name__ == "detect"
    assert package.cli.detect is module  # type: ignore[attr-defined]
