"""pycuda and cuda.bindings themselves, on a driver in host memory (driver/driver.cpp) instead of NVIDIA's.

It takes pycuda, which has to be compiled, and cuda.h, so it is skipped where they are not; it takes no GPU.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def headers() -> Path | None:
    """Folder of cuda.h."""
    nvcc = shutil.which("nvcc")
    folders = [*Path("/usr/local").glob("cuda*/include"), Path("/usr/include")]
    if nvcc:
        folders.insert(0, Path(nvcc).resolve().parents[1] / "include")
    return next((folder for folder in folders if (folder / "cuda.h").is_file()), None)


def why_not() -> str:
    if importlib.util.find_spec("pycuda") is None:
        return "pycuda is not installed"
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.bindings") is None:
        return "cuda-python is not installed"
    if headers() is None or shutil.which("c++") is None:
        return "cuda.h or a C++ compiler is not installed"
    return ""


pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "runs")]


@dataclass(frozen=True)
class Ending:
    """How a process ended, and what it left in the driver."""

    code: int
    out: str
    err: str
    left: dict[str, Any]


@dataclass(frozen=True)
class Driver:
    """The driver, and how a process is run on it."""

    library: Path
    folder: Path

    def run(self, *arguments: str, **environment: str) -> Ending:
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        variables = os.environ | {
            "BR2NET_TEST_DRIVER": str(self.library),
            "BR2NET_TEST_DRIVER_REPORT": str(report),
            "LD_LIBRARY_PATH": f"{self.library.parent}:{os.environ.get('LD_LIBRARY_PATH', '')}",
            **environment,
        }
        command = [sys.executable, *arguments]
        ended = subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=300, check=False
        )
        return Ending(ended.returncode, ended.stdout, ended.stderr, json.loads(report.read_text()))

    def run_code(self, code: str, **environment: str) -> Ending:
        start = "from tests.runtime.cuda.gpu import load_test_driver; load_test_driver()\n"
        return self.run("-c", start + code, **environment)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    folder = tmp_path_factory.mktemp("driver")
    library = folder / "libcuda.so.1"
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-Wl,-soname,libcuda.so.1"]
    source = HERE / "driver" / "driver.cpp"
    subprocess.run(["c++", *flags, f"-I{headers()}", str(source), "-o", str(library), "-ldl"], check=True)
    return Driver(library, folder)


NOTHING = {"device_memory": 0, "host_memory": 0, "streams": 0, "events": 0, "graphs": 0, "retained": 0, "detached": 0}


def leaves_nothing(ended: Ending) -> bool:
    """Whether everything was given back, each in its time."""
    return {name: ended.left[name] for name in NOTHING} == NOTHING


@pytest.mark.parametrize("suite", ["cuda/test_sequences.py", "tensorrt/test_channel_engine.py"])
def test_the_sequences_of_calls_run(driver: Driver, suite: str) -> None:
    arguments = ("-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", str(HERE.parent / suite))
    ended = driver.run(*arguments)
    assert ended.code == 0, ended.out + ended.err
    assert "passed" in ended.out and "skipped" not in ended.out, ended.out
    assert leaves_nothing(ended), ended.left


def test_without_cuda_python_they_run_but_for_the_graphs(driver: Driver) -> None:
    arguments = ("-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", str(HERE / "test_sequences.py"))
    ended = driver.run(*arguments, BR2NET_TEST_WITHOUT_CUDA_PYTHON="1")
    assert ended.code == 0, ended.out + ended.err
    assert "3 skipped" in ended.out
    assert leaves_nothing(ended), ended.left


def test_the_lack_of_cuda_python_is_logged_once(driver: Driver) -> None:
    code = "from br2net.runtime.cuda import open_cuda\nfor _ in range(3):\n    open_cuda().close()"
    ended = driver.run_code(code, BR2NET_TEST_WITHOUT_CUDA_PYTHON="1")
    assert ended.err.count("pip install cuda-python") == 1 == len(ended.err.splitlines())


OPEN = """
import threading
from br2net.errors import CudaError, OutOfMemoryError
from br2net.runtime.cuda import (open_cuda)
cuda = open_cuda()
def make(other=None):
    device = other or cuda
    with device.active():
        stream, memory, there = device.stream(), device.device_buffer(4096), device.host_buffer(4096)
        event = device.event()
        device.upload(memory, there, 4096, stream)
        event.record(stream)
        return stream, memory, there, event
"""


@pytest.mark.parametrize(
    "code",
    [
        "held = make()",
        "held = make(); cuda.close()",
        "with cuda:\n    held = make()",
        "held = make(); second = open_cuda(); more = make(second); cuda.close()",
        "held = make(); second = open_cuda(); more = make(second); second.close(); cuda.close()",
        "thread = threading.Thread(target=make); thread.start(); thread.join()",
        "thread = threading.Thread(target=make); thread.start(); thread.join(); cuda.close()",
        "held = make(); thread = threading.Thread(target=cuda.close); thread.start(); thread.join()",
        "make()\ntry:\n    with cuda.active():\n        cuda.device_buffer(1 << 62)\nexcept OutOfMemoryError:\n    pass",
        "with cuda.active():\n    lent = cuda.device_buffer(64, outlives=True)\ncuda.close(); cuda.release(lent)",
        "held = make()\nwith cuda.active():\n    graph = cuda.capture(held[0], lambda: held[3].record(held[0]))",
    ],
)
def test_a_process_ends_clean_in_any_order(driver: Driver, code: str) -> None:
    ended = driver.run_code(OPEN + code)
    assert (ended.code, ended.err) == (0, "")
    assert leaves_nothing(ended), ended.left


@pytest.mark.parametrize("first", ["torch", "br2net"])
def test_a_process_with_pytorch_in_it_ends_clean(driver: Driver, first: str) -> None:
    pytest.importorskip("torch")
    parts = ["import torch; torch.zeros(1)", OPEN + "held = make()"]
    code = "\n".join(parts if first == "torch" else parts[::-1])
    ended = driver.run_code(f"{code}\ntorch.ones(1)")
    assert (ended.code, ended.err) == (0, "")
    assert leaves_nothing(ended), ended.left


def test_importing_makes_no_context(driver: Driver) -> None:
    ended = driver.run_code("import br2net.runtime.cuda.device, br2net.runtime.tensorrt")
    assert ended.left["pushes"] == 0 == ended.left["retained"]


def test_every_push_has_its_pop(driver: Driver) -> None:
    ended = driver.run_code(OPEN + "for _ in range(5):\n    make()\nimport ctypes, os\n"
                            "current = ctypes.c_void_p(1)\n"
                            "ctypes.CDLL(os.environ['BR2NET_TEST_DRIVER']).cuCtxGetCurrent(ctypes.byref(current))\n"
                            "print(current.value)")  # fmt: skip
    assert ended.out == "None\n"


BREAK = """
import ctypes, os
ctypes.CDLL(os.environ["BR2NET_TEST_DRIVER"]).br2net_break(700)
"""


def test_a_context_that_breaks_is_one_sentence_for_all_and_the_process_ends(driver: Driver) -> None:
    code = """
held = make()
second = open_cuda()
def use(device):
    try:
        with device.active():
            held[0].synchronize() if device is cuda else device.stream()
    except CudaError as error:
        print(error.sticky, error)
""" + BREAK + """
for device in (cuda, second, cuda):
    thread = threading.Thread(target=use, args=(device,))
    thread.start(); thread.join()
    use(device)
cuda.close(); second.close()
try:
    open_cuda().active().__enter__()
except CudaError as error:
    print(error.sticky, error)
"""  # fmt: skip
    ended = driver.run_code(OPEN + code)
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert len(lines) == 7 and len(set(lines)) == 1
    assert lines[0].startswith("True The GPU's context broke") and "start this program again" in lines[0]


def test_use_after_free_is_refused_before_cuda_sees_it(driver: Driver) -> None:
    code = """
stream, memory, there, event = make()
with cuda.active():
    stream.synchronize()
    memory.close()
    for wrong in (lambda: cuda.upload(memory, there, 4096, stream), memory.close, lambda: memory.address):
        try:
            wrong()
        except CudaError as error:
            print(error.sticky)
"""
    ended = driver.run_code(OPEN + code)
    assert (ended.out, ended.err) == ("False\n" * 3, "")


def test_a_thread_outside_is_refused_before_cuda_sees_it(driver: Driver) -> None:
    code = "held = make()\ntry:\n    held[0].synchronize()\nexcept CudaError as error:\n    print(error)"
    assert "outside `with cuda.active()`" in driver.run_code(OPEN + code).out


def test_a_kernel_is_started(driver: Driver) -> None:
    code = """
import numpy as np
stream, memory, there, event = make()
with cuda.active(), cuda.load_module(b"image") as module:
    module.launch("blur", (1, 1, 1), (32, 1, 1), [memory.address, np.int32(3), np.float32(0.5)], stream)
    stream.synchronize()
"""
    ended = driver.run_code(OPEN + code)
    assert (ended.code, ended.err) == (0, "")
    assert leaves_nothing(ended), ended.left
