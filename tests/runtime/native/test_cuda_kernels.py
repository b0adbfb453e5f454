"""The CUDA kernels against the CPU library, to the bit: on a GPU, and without one compiled for the CPU, by the same calls."""

import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from br2net.errors import BackendError
from br2net.runtime.cuda import Cuda, open_cuda
from br2net.runtime.cuda.interface import DeviceBuffer, Stream
from br2net.runtime.native import Status, cpu, installed, is_available, status
from br2net.runtime.native.cuda_kernels import CudaKernels, DeviceFrame, DevicePictures, load_kernels
from br2net.types import PixelFormat

from ..cuda.gpu import why_no_gpu
from ..cuda.host_memory import SCHEDULES
from . import emulated

pytestmark = pytest.mark.skipif(not is_available(), reason="the native part is not built here")

SCALE, SHIFT = (0.0171, 0.0175, 0.0174), (-2.118, -2.036, -1.804)
TINT = (235, 80, 30)
Bytes = NDArray[np.uint8]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    if shutil.which("c++") is None:
        pytest.skip("there is no C++ compiler")
    return emulated.build(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(params=[*SCHEDULES, pytest.param("gpu", marks=pytest.mark.gpu)])
def cuda(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cuda]:
    """A GPU where there is one, and host memory at three schedules with the kernels compiled for the CPU."""
    if request.param == "gpu":
        if why_no_gpu() or not installed.FATBIN.is_file():
            pytest.skip(why_no_gpu() or "the CUDA kernels are not built here")
        with open_cuda() as real, real.active():
            yield real
        return
    if not installed.FATBIN.is_file():
        emulated.pretend_kernels_are_built(monkeypatch)
    device = emulated.EmulatedCuda(schedule=request.param)
    device.library = request.getfixturevalue("library")
    with device, device.active():
        yield device


def put(cuda: Cuda, stream: Stream, array: NDArray[Any]) -> DeviceBuffer:
    buffer = cuda.device_buffer(array.nbytes)
    with cuda.host_buffer(array.nbytes) as memory:
        memory.view(array.shape, array.dtype)[...] = array
        cuda.upload(buffer, memory, array.nbytes, stream)
        stream.synchronize()
    return buffer


def get(cuda: Cuda, stream: Stream, buffer: DeviceBuffer, shape: tuple[int, ...], kind: DTypeLike) -> NDArray[Any]:
    with cuda.host_buffer(buffer.size_bytes) as memory:
        cuda.download(memory, buffer, buffer.size_bytes, stream)
        stream.synchronize()
        return memory.view(shape, kind).copy()


def noise(*shape: int) -> Bytes:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(
    ("shape", "pixels", "wanted"),
    [
        ((72, 128, 3), PixelFormat.BGR, (38, 32)),
        ((64, 64, 3), PixelFormat.BGR, (32, 32)),
        ((1, 1, 3), PixelFormat.BGR, (5, 3)),
        ((20, 30, 3), PixelFormat.BGR, (64, 48)),
        ((90, 20, 3), PixelFormat.BGR, (64, 32)),
        ((96, 66), PixelFormat.NV12, (33, 31)),
        ((50, 66, 2), PixelFormat.YUYV, (70, 31)),
    ],
)
def test_preprocess_gives_what_the_cpu_gives(
    cuda: Cuda, shape: tuple[int, ...], pixels: PixelFormat, wanted: tuple[int, int], half: bool
) -> None:
    wide = noise(shape[0], shape[1] + 5, *shape[2:])
    frame = wide[:, : shape[1]]
    width, height = wanted
    kind = np.float16 if half else np.float32
    expected = np.empty((3, height, width), kind)
    cpu.preprocess(frame, pixels, expected, SCALE, SHIFT)
    own_width, own_height = pixels.size_of(frame)
    with CudaKernels(cuda) as kernels, cuda.stream() as stream:
        source, planes = put(cuda, stream, wide), cuda.device_buffer(expected.nbytes)
        pitch = wide.strides[0]
        chroma = source.address + own_height * pitch if pixels is PixelFormat.NV12 else 0
        described = DeviceFrame(source.address, pitch, own_width, own_height, pixels, chroma, pitch)
        kernels.preprocess(described, planes.address, width, height, SCALE, SHIFT, stream, half=half)
        np.testing.assert_array_equal(get(cuda, stream, planes, expected.shape, kind), expected)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(
    ("own", "wanted"), [((32, 24), (131, 77)), ((20, 20), (20, 20)), ((32, 32), (9, 300)), ((1, 1), (3, 1))]
)
def test_postprocess_gives_what_the_cpu_gives(
    cuda: Cuda, own: tuple[int, int], wanted: tuple[int, int], half: bool
) -> None:
    blur = np.random.default_rng(3).random(own[::-1], dtype=np.float32) * np.float32(1.2) - np.float32(0.1)
    given = blur.astype(np.float16 if half else np.float32)
    width, height = wanted
    frame = noise(height, width + 2, 3)
    arrays = {
        "full_map": np.empty((height, width), np.float32),
        "grey": np.empty((height, width), np.uint8),
        "overlay": np.empty((height, width, 3), np.uint8),
        "histogram": np.zeros(256, np.int64),
    }
    blurred = cpu.postprocess(
        given.astype(np.float32), width, height, frame=frame[:, :width], opacity=0.6, tint_bgr=TINT, **arrays
    )
    with CudaKernels(cuda) as kernels, cuda.stream() as stream:
        source, blur_there = put(cuda, stream, frame), put(cuda, stream, given)
        results = {name: put(cuda, stream, np.zeros_like(array)) for name, array in arrays.items()}
        count = put(cuda, stream, np.zeros(1, np.int64))
        addresses = [results[name].address for name in ("full_map", "grey", "overlay", "histogram")]
        pictures = DevicePictures(width, height, *addresses, count.address)
        described = DeviceFrame(source.address, frame.strides[0], width, height)
        kernels.postprocess(
            blur_there.address, *own, pictures, stream, half=half, frame=described, opacity=0.6, tint_bgr=TINT
        )
        for name, array in arrays.items():
            np.testing.assert_array_equal(get(cuda, stream, results[name], array.shape, array.dtype), array)
        assert get(cuda, stream, count, (1,), np.int64)[0] == blurred


def test_what_is_not_wanted_is_left_out(cuda: Cuda) -> None:
    with CudaKernels(cuda) as kernels, cuda.stream() as stream:
        blur, grey = put(cuda, stream, np.full((2, 2), 0.4, np.float32)), cuda.device_buffer(35)
        kernels.postprocess(blur.address, 2, 2, DevicePictures(7, 5, grey=grey.address), stream)
        np.testing.assert_array_equal(get(cuda, stream, grey, (5, 7), np.uint8), 102)


def test_weights_of_a_size_are_uploaded_once(cuda: Cuda) -> None:
    frame = noise(40, 60, 3)
    with CudaKernels(cuda) as kernels, cuda.stream() as stream:
        source, planes = put(cuda, stream, frame), cuda.device_buffer(3 * 32 * 32 * 4)
        described = DeviceFrame(source.address, frame.strides[0], 60, 40)
        free = []
        for _ in range(2):
            kernels.preprocess(described, planes.address, 32, 32, SCALE, SHIFT, stream)
            stream.synchronize()
            free.append(cuda.memory()[0])
        assert free[0] == free[1]


def test_the_weights_of_sizes_long_unused_give_way(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("br2net.runtime.native.cuda_kernels.KEPT_SIZES", 2)
    with CudaKernels(cuda) as kernels, cuda.stream() as stream:
        blur, grey = put(cuda, stream, np.full((2, 2), 0.4, np.float32)), cuda.device_buffer(35)
        free = []
        for width, height in [(7, 5), (5, 7), (7, 5), (7, 4), (5, 7), (7, 5)]:
            kernels.postprocess(blur.address, 2, 2, DevicePictures(width, height, grey=grey.address), stream)
            free.append(cuda.memory()[0])
        np.testing.assert_array_equal(get(cuda, stream, grey, (35,), np.uint8), 102)
        assert free[1] == free[2] == free[-1]


def test_without_kernels_the_way_to_get_them_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    state = Status(True, True, "", "", "", (), "", "no nvcc was found when this was installed")
    monkeypatch.setattr("br2net.runtime.native.cuda_kernels.status", lambda: state)
    with pytest.raises(BackendError, match=r"no nvcc was found .* put nvcc on the PATH and install br2net again"):
        CudaKernels(emulated.EmulatedCuda())


@pytest.mark.skipif(shutil.which("cuobjdump") is None, reason="there is no cuobjdump")
def test_the_fatbin_holds_the_architectures_that_status_names() -> None:
    state = status()
    if not state.fatbin_architectures:
        pytest.skip(state.fatbin_reason)
    listing = {}
    for kind in ("elf", "ptx"):
        run = subprocess.run(
            ["cuobjdump", f"--list-{kind}", str(installed.FATBIN)], capture_output=True, text=True, check=True
        )
        listing[kind] = run.stdout
    for architecture in state.fatbin_architectures:
        name = architecture.replace("compute_", "sm_")
        assert f".{name}." in listing["ptx" if name != architecture else "elf"]


def test_two_objects_share_a_module_and_only_its_owner_closes_it(cuda: Cuda) -> None:
    module = load_kernels(cuda)
    for _ in range(2):
        with CudaKernels(cuda, module) as kernels, cuda.stream() as stream:
            blur, grey = put(cuda, stream, np.full((2, 2), 0.4, np.float32)), cuda.device_buffer(35)
            kernels.postprocess(blur.address, 2, 2, DevicePictures(7, 5, grey=grey.address), stream)
            np.testing.assert_array_equal(get(cuda, stream, grey, (5, 7), np.uint8), 102)
    module.close()


@pytest.mark.parametrize(
    "facts",
    [
        {"width": 0},
        {"height": -1},
        {"address": 0},
        {"pitch_bytes": 191},
        {"pixels": PixelFormat.YUYV, "width": 63},
        {"pixels": PixelFormat.NV12, "chroma_pitch_bytes": 64},
        {"pixels": PixelFormat.NV12, "chroma_pitch_bytes": 63, "chroma_address": 4096},
        {"pixels": PixelFormat.NV12, "chroma_pitch_bytes": 64, "chroma_address": 4096, "height": 31},
        {"pixels": PixelFormat.NV12, "chroma_pitch_bytes": 64, "chroma_address": 4096, "width": 63},
    ],
)
def test_a_frame_that_a_kernel_would_read_outside_of_is_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must have a size, pitches and planes"):
        DeviceFrame(**{"address": 1024, "pitch_bytes": 192, "width": 64, "height": 32, **facts})


def test_calls_that_break_the_contract_are_refused_before_a_kernel_starts() -> None:
    device = emulated.EmulatedCuda()
    with device.active():
        kernels, stream = CudaKernels(device, HostMemoryModule()), device.stream()
        frame = DeviceFrame(1024, 21, 7, 5)
        yuyv = DeviceFrame(1024, 16, 8, 5, PixelFormat.YUYV)
        with pytest.raises(ValueError, match="An input must have pixels"):
            kernels.preprocess(frame, 1024, 0, 32, SCALE, SHIFT, stream)
        for blur_size, pictures, given in [
            ((2, 0), DevicePictures(7, 5, map=1024), None),
            ((2, 2), DevicePictures(0, 5, map=1024), None),
            ((2, 2), DevicePictures(7, 5, overlay=1024), None),
            ((2, 2), DevicePictures(8, 5, overlay=1024), frame),
            ((2, 2), DevicePictures(8, 5, overlay=1024), yuyv),
        ]:
            with pytest.raises(ValueError, match=r"must have pixels|needs a BGR frame"):
                kernels.postprocess(1024, *blur_size, pictures, stream, frame=given)


class HostMemoryModule:
    """Kernels that must not be started."""

    def launch(self, *_: object) -> None:
        raise AssertionError("a kernel was started")

    def close(self) -> None: ...

    def __enter__(self) -> "HostMemoryModule":
        return self

    def __exit__(self, *_: object) -> None: ...
