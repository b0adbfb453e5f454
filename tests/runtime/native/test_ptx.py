"""The CUDA kernels as nvcc compiled them: their PTX, run by an interpreter that checks every access, against the CPU library.

The interpreter lies outside the project, in `shared/tools/ptx`; without it, or without nvcc, these tests are skipped.
"""

import functools
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from br2net.runtime.cuda.interface import KernelArgument, Stream
from br2net.runtime.native import cpu, installed, is_available
from br2net.runtime.native.cuda_kernels import CudaKernels, DeviceFrame, DevicePictures
from br2net.types import PixelFormat

from ..cuda.host_memory import Memory
from . import emulated
from .test_cuda_kernels import SCALE, SHIFT, TINT, get, noise, put

ROOT = Path(__file__).resolve().parents[3]
INTERPRETER = ROOT.parent / "shared" / "tools" / "ptx" / "ptx_interpreter.py"
KERNELS = ROOT / "runtime" / "native" / "kernels.cu"
ARCHITECTURES = ("75", "120")  # nvcc compiles for Blackwell and for what came before it with two different optimisers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_available(), reason="the native part is not built here"),
    pytest.mark.skipif(not INTERPRETER.is_file(), reason="there is no PTX interpreter in ../shared/tools"),
    pytest.mark.skipif(shutil.which("nvcc") is None, reason="there is no nvcc"),
]


@functools.cache
def interpreter() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ptx_interpreter", INTERPRETER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@functools.cache
def compiled(architecture: str, folder: Path) -> Any:
    """The kernels for one architecture, with the flags of cuda.cmake."""
    result = folder / f"kernels-{architecture}.ptx"
    flags = ["-std=c++17", "-O3", "--fmad=false", "-lineinfo", "-ptx", f"-arch=compute_{architecture}"]
    subprocess.run(["nvcc", *flags, str(KERNELS), "-o", str(result)], check=True)
    return interpreter().Module(result.read_text(encoding="utf-8"))


class CompiledModule(emulated.EmulatedModule):
    """The kernels' PTX; a launch is an operation of the stream."""

    def launch(
        self,
        name: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        arguments: Sequence[KernelArgument],
        stream: Stream,
    ) -> None:
        assert isinstance(self.cuda, CompiledCuda)
        packed = self.cuda.kernels.kernels[name].pack(arguments)
        assert emulated.packed(arguments) == packed, "pycuda packs arguments otherwise than the kernel reads"
        super().launch(name, grid, block, arguments, stream)

    def execute(self, name: str, grid: tuple[int, int, int], block: tuple[int, int, int], data: bytes) -> None:
        assert isinstance(self.cuda, CompiledCuda)
        memory = interpreter().Memory()
        for item in self.cuda.things:
            if isinstance(item, Memory) and item.is_open and item.size_bytes:
                memory.map(item.bytes, item.accesses.name, address=item.bytes.ctypes.data)
        self.cuda.kernels.launch(name, grid, block, data, memory)


class CompiledCuda(emulated.EmulatedCuda):
    """A GPU in host memory that runs the compiled kernels."""

    kernels: Any

    def load_module(self, image: bytes) -> CompiledModule:  # type: ignore[override]
        return CompiledModule(self)


@pytest.fixture(params=ARCHITECTURES)
def cuda(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Any:
    if not installed.FATBIN.is_file():
        emulated.pretend_kernels_are_built(monkeypatch)
    device = CompiledCuda(schedule="latest")
    device.library = None  # type: ignore[assignment]  # nothing is emulated
    device.kernels = compiled(request.param, tmp_path_factory.getbasetemp())
    with device, device.active():
        yield device


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(
    ("shape", "pixels", "wanted"),
    [
        ((40, 70, 3), PixelFormat.BGR, (38, 32)),
        ((20, 30, 3), PixelFormat.BGR, (40, 33)),
        ((48, 34), PixelFormat.NV12, (33, 31)),
        ((31, 34, 2), PixelFormat.YUYV, (40, 17)),
    ],
)
def test_compiled_preprocess_equals_the_cpu_library(
    cuda: CompiledCuda, shape: tuple[int, ...], pixels: PixelFormat, wanted: tuple[int, int], half: bool
) -> None:
    frame, (width, height) = noise(*shape), wanted
    kind = np.float16 if half else np.float32
    expected = np.empty((3, height, width), kind)
    cpu.preprocess(frame, pixels, expected, SCALE, SHIFT)
    own_width, own_height = pixels.size_of(frame)
    with CudaKernels(cuda) as kernels, cuda.stream() as stream:
        source, planes = put(cuda, stream, frame), cuda.device_buffer(expected.nbytes)
        pitch = frame.strides[0]
        chroma = source.address + own_height * pitch if pixels is PixelFormat.NV12 else 0
        described = DeviceFrame(source.address, pitch, own_width, own_height, pixels, chroma, pitch)
        kernels.preprocess(described, planes.address, width, height, SCALE, SHIFT, stream, half=half)
        np.testing.assert_array_equal(get(cuda, stream, planes, expected.shape, kind), expected)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("own", "wanted"), [((16, 12), (67, 41)), ((20, 20), (20, 20)), ((32, 32), (9, 50))])
def test_compiled_postprocess_equals_the_cpu_library(
    cuda: CompiledCuda, own: tuple[int, int], wanted: tuple[int, int], half: bool
) -> None:
    blur = np.random.default_rng(3).random(own[::-1], dtype=np.float32) * np.float32(1.2) - np.float32(0.1)
    given = blur.astype(np.float16 if half else np.float32)
    width, height = wanted
    frame = noise(height, width, 3)
    full, grey = np.empty((height, width), np.float32), np.empty((height, width), np.uint8)
    overlay, histogram = np.empty((height, width, 3), np.uint8), np.zeros(256, np.int64)
    arrays = {"full_map": full, "grey": grey, "overlay": overlay, "histogram": histogram}
    blurred = cpu.postprocess(
        given.astype(np.float32), width, height, frame=frame, opacity=0.6, tint_bgr=TINT, **arrays
    )
    with CudaKernels(cuda) as kernels, cuda.stream() as stream:
        source, blur_there = put(cuda, stream, frame), put(cuda, stream, given)
        results = {name: put(cuda, stream, np.zeros_like(array)) for name, array in arrays.items()}
        count = put(cuda, stream, np.zeros(1, np.int64))
        pictures = DevicePictures(width, height, *(item.address for item in results.values()), count.address)
        described = DeviceFrame(source.address, frame.strides[0], width, height)
        kernels.postprocess(
            blur_there.address, *own, pictures, stream, half=half, frame=described, opacity=0.6, tint_bgr=TINT
        )
        for name, array in arrays.items():
            np.testing.assert_array_equal(get(cuda, stream, results[name], array.shape, array.dtype), array, name)
        assert int(get(cuda, stream, count, (1,), np.int64)[0]) == blurred
