"""How the library is found, switched off, threaded and kept apart from the rest of a process."""

import ctypes
import json
import logging
import multiprocessing
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from br2net.runtime.metadata import IMAGENET
from br2net.runtime.native import installed, is_available, library, status
from br2net.runtime.native.library import thread_count
from br2net.runtime.preprocessing import preprocess

built = pytest.mark.skipif(not status().built, reason="the native part is not built here")
FRAME = np.random.default_rng(1).integers(0, 256, (720, 1280, 3), dtype=np.uint8)


@pytest.fixture
def nothing_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """As if nothing had been compiled at installation; gives the folder that has nothing."""
    monkeypatch.setattr(installed, "LIBRARY", tmp_path / "libbr2net_native.so")
    monkeypatch.setattr(installed, "FATBIN", tmp_path / "kernels.fatbin")
    monkeypatch.setattr(installed, "FACTS", tmp_path / "build.json")
    library.open_library.cache_clear()
    library._loads.cache_clear()
    yield tmp_path
    library.open_library.cache_clear()
    library._loads.cache_clear()


@built
def test_status_says_what_was_built_and_which_version_runs() -> None:
    state = status()
    compiler, instructions = state.how.split(", ")
    assert compiler.split()[0] in {"GNU", "Clang", "AppleClang"}
    assert instructions in {"avx512", "avx2", "neon", "baseline"}
    assert (state.used, state.reason, state.remedy) == (is_available(), state.reason, "")
    assert bool(state.fatbin_architectures) != bool(state.fatbin_reason)


@built
def test_the_environment_switches_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BR2NET_NATIVE", "0")
    assert not is_available()
    state = status()
    assert (state.built, state.used, state.reason) == (True, False, "BR2NET_NATIVE=0 switches it off")


def test_without_it_opencv_works_and_the_loss_is_said_once(
    nothing_built: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BR2NET_NATIVE", raising=False)
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        assert preprocess([FRAME], 32, 32, IMAGENET).shape == (1, 3, 32, 32)
    (record,) = caplog.records
    assert "OpenCV does its work" in record.message
    assert "install CMake and a C++ compiler" in record.message


def test_status_passes_on_why_nothing_was_compiled(nothing_built: Path) -> None:
    cuda = {"reason": "nothing was compiled", "nvcc": "", "architectures": []}
    facts = {"reason": "there was no cmake when this was installed", "cuda": cuda}
    (nothing_built / "build.json").write_text(json.dumps(facts))
    state = status()
    assert (state.built, state.used, state.how) == (False, False, "")
    assert state.reason == "there was no cmake when this was installed"
    assert state.fatbin_reason == "nothing was compiled"


def test_threads_are_those_asked_for_else_of_the_environment_else_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert (thread_count(2), thread_count(0)) == (2, 3)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert thread_count(0) == len(os.sched_getaffinity(0))


@built
@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_one_thread_starts_no_other() -> None:
    code = """
import os, numpy as np
from br2net.runtime.native import cpu
from br2net.types import PixelFormat

frame, planes = np.zeros((720, 1280, 3), np.uint8), np.empty((3, 384, 384), np.float32)
before = len(os.listdir("/proc/self/task"))
for threads in (0, 1, 3):
    cpu.preprocess(frame, PixelFormat.BGR, planes, (1,) * 3, (0,) * 3, threads)
    print(len(os.listdir("/proc/self/task")) - before)
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["0", "0", "2"]


@built
def test_calls_from_many_threads_give_the_same() -> None:
    expected = preprocess([FRAME], 320, 320, IMAGENET, threads=1)
    with ThreadPoolExecutor(6) as pool:
        for result in pool.map(lambda _: preprocess([FRAME], 320, 320, IMAGENET, threads=3), range(24)):
            np.testing.assert_array_equal(result, expected)


def in_child(queue: "multiprocessing.Queue[float]") -> None:
    queue.put(float(preprocess([FRAME], 320, 320, IMAGENET, threads=3).sum()))


@built
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    expected = float(preprocess([FRAME], 320, 320, IMAGENET, threads=3).sum())
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[float] = context.Queue()
    child = context.Process(target=in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == expected
    child.join(60)
    assert child.exitcode == 0


@built
@pytest.mark.skipif(shutil.which("nm") is None, reason="there is no nm")
def test_only_the_c_interface_is_visible() -> None:
    run = subprocess.run(
        ["nm", "-D", "--defined-only", str(installed.LIBRARY)], capture_output=True, text=True, check=True
    )
    names = {line.split()[-1] for line in run.stdout.splitlines()}
    assert names == {
        f"br2net_{name}" for name in ("preprocess", "postprocess", "plan", "map_plan", "compiler", "instructions")
    }


@built
@pytest.mark.skipif(platform.machine() != "x86_64" or shutil.which("readelf") is None, reason="versions are of x86-64")
def test_the_versions_of_a_function_are_chosen_inside_the_library() -> None:
    relocations = subprocess.run(
        ["readelf", "-rW", str(installed.LIBRARY)], capture_output=True, text=True, check=True
    ).stdout
    assert relocations.count("R_X86_64_IRELATIV") >= 10
    assert "br2net4rows" not in relocations


@built
@pytest.mark.skipif(sys.platform != "linux", reason="guards a page by mprotect")
def test_no_byte_beyond_a_frame_or_a_result_is_touched() -> None:
    code = """
import ctypes, mmap, numpy as np
from br2net.runtime.native import cpu
from br2net.types import PixelFormat

libc, kept = ctypes.CDLL(None), []
def at_the_end(shape, kind):
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, pages + mmap.PAGESIZE); kept.append(memory)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert libc.mprotect(ctypes.c_void_p(address + pages), mmap.PAGESIZE, 0) == 0
    return np.frombuffer(memory, kind, int(np.prod(shape)), pages - size).reshape(shape)
for width, height in [(70, 50), (1, 1), (3, 2), (200, 100)]:
    for shape, pixels in [((height, width, 3), 'BGR'), ((height * 3, width * 2), 'NV12'), ((height, width * 2, 2), 'YUYV')]:
        for half in (np.float32, np.float16):
            for wanted in [(32, 64), (7, 5), (96, 224)]:
                planes = at_the_end((3, *wanted), half)
                cpu.preprocess(at_the_end(shape, np.uint8), PixelFormat[pixels], planes, (1,) * 3, (0,) * 3, 1)
    for size in [(9, 7), (height, width)]:
        frame, blur = at_the_end((height, width, 3), np.uint8), at_the_end(size, np.float32)
        cpu.postprocess(blur, width, height, full_map=at_the_end((height, width), np.float32), frame=frame,
            grey=at_the_end((height, width), np.uint8), overlay=at_the_end((height, width, 3), np.uint8), opacity=0.6)
print('untouched')
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, "untouched"), run.stderr


@built
def test_a_library_without_memory_is_a_memory_error() -> None:
    with pytest.raises(MemoryError, match="not enough memory"):
        library.checked(1)
    assert ctypes.sizeof(library.CFrame) == 48
