"""Every processor computes the same bits: the version for old ones, compiled by itself, against the one that runs here."""

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from br2net.runtime.native import cpu, is_available
from br2net.runtime.native.library import load
from br2net.types import PixelFormat

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_available(), reason="the native part is not built here"),
    pytest.mark.skipif(
        not shutil.which("cmake") or not shutil.which("c++"), reason="there is no CMake or no C++ compiler"
    ),
]


@pytest.fixture(scope="module")
def plain_library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The library with one version of each function, for every processor of this architecture."""
    folder = tmp_path_factory.mktemp("plain")
    options = [
        "-DBR2NET_ONE_VERSION=ON",
        "-DBR2NET_CUDA=OFF",
        "-DBR2NET_TESTBED=OFF",
        "-DCMAKE_BUILD_TYPE=Release",
    ]
    for command in (["cmake", "-S", str(ROOT), "-B", str(folder), *options], ["cmake", "--build", str(folder)]):
        subprocess.run(command, check=True, capture_output=True)
    library = load(folder / "runtime" / "native" / "libbr2net_native.so")
    assert library.br2net_instructions() in (b"baseline", b"neon")
    return library


def results() -> list[bytes]:
    """What the library in use makes of one frame in each format, at two sizes, and of a map."""
    rng = np.random.default_rng(5)
    made = []
    for shape, pixels in [((90, 130, 3), "BGR"), ((90, 130), "NV12"), ((60, 130, 2), "YUYV")]:
        frame = rng.integers(0, 256, shape, dtype=np.uint8)
        for wanted in [(64, 32), (96, 160), (32, 224)]:
            for kind in (np.float32, np.float16):
                planes = np.empty((3, *wanted), kind)
                cpu.preprocess(frame, PixelFormat[pixels], planes, (0.0171, 0.0175, 0.0174), (-2.1, -2.0, -1.8))
                made.append(planes.tobytes())
    frame = rng.integers(0, 256, (203, 331, 3), dtype=np.uint8)
    blur = rng.random((64, 96), dtype=np.float32)
    full, grey = np.empty((203, 331), np.float32), np.empty((203, 331), np.uint8)
    overlay, histogram = np.empty((203, 331, 3), np.uint8), np.zeros(256, np.int64)
    pictures = {"full_map": full, "grey": grey, "overlay": overlay, "histogram": histogram}
    count = cpu.postprocess(blur, 331, 203, frame=frame, opacity=0.6, tint_bgr=(235, 80, 30), **pictures)
    return [*made, *(item.tobytes() for item in pictures.values()), str(count).encode()]


def test_old_processors_compute_the_same_bits(plain_library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = results()
    plain: Callable[[], ctypes.CDLL] = lambda: plain_library  # noqa: E731
    monkeypatch.setattr("br2net.runtime.native.cpu.open_library", plain)
    assert results() == expected
