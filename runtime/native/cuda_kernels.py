"""The CUDA kernels on buffers of the GPU: the same two verbs as `cpu`, to the same bits."""

import ctypes
from collections.abc import Sequence
from ctypes import c_float, c_int32
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from br2net.errors import BackendError
from br2net.runtime.cuda.interface import Cuda, DeviceBuffer, KernelArgument, Stream
from br2net.runtime.native.installed import FATBIN, status
from br2net.runtime.native.library import CAxis, CFrame, CInput, CMapSide, CPictures, checked, open_library
from br2net.types import PixelFormat

Three = tuple[float, float, float]
BLOCK = (32, 8, 1)
KEPT_SIZES = 64  # pairs of sizes whose weights stay on the GPU, some ten kilobytes each
ROWS_OF_A_THREAD = 8  # of postprocess: long blocks, for a block has a histogram of its own to add up


@dataclass(frozen=True)
class DeviceFrame:
    """A frame in the GPU's memory, of whoever gave it; rows are `pitch_bytes` apart. NV12 has a second plane."""

    address: int
    pitch_bytes: int
    width: int
    height: int
    pixels: PixelFormat = PixelFormat.BGR
    chroma_address: int = 0
    chroma_pitch_bytes: int = 0


@dataclass(frozen=True)
class DevicePictures:
    """Addresses of what `postprocess` fills, rows without a gap; 0 leaves one out.

    Attributes:
        width, height: of the frame, pixels.
        map: float32 `(height, width)`, within 0..1.
        grey: uint8 `(height, width)`, 255 = blurred.
        overlay: uint8 `(height, width, 3)`; needs a frame.
        histogram: int64 `(256,)`, added to.
        blurred: int64, pixels of at least 0.5, added to.
    """

    width: int
    height: int
    map: int = 0
    grey: int = 0
    overlay: int = 0
    histogram: int = 0
    blurred: int = 0


class CudaKernels:
    """The kernels, loaded on one GPU. Used inside `cuda.active()`, as everything of a `Cuda` is, and with one stream at a time.

    The weights of a pair of sizes are uploaded when it is first met, which waits for the stream: before a capture, run once.
    """

    def __init__(self, cuda: Cuda) -> None:
        """Load the kernels; this object owns them.

        Raises:
            BackendError: if the installation has none, or the GPU is older than all that they were compiled for.
        """
        state = status()
        if not state.fatbin_architectures:
            raise BackendError(
                f"There are no CUDA kernels: {state.fatbin_reason}; put nvcc on the PATH and install br2net again."
            )
        if not state.built:
            raise BackendError(f"The CUDA kernels need the native library ({state.reason}); {state.remedy}.")
        self._cuda = cuda
        self._module = cuda.load_module(FATBIN.read_bytes())
        self._tables: dict[tuple[str, int, int, int, int], _Tables] = {}  # the latest used last

    def preprocess(
        self,
        frame: DeviceFrame,
        planes: int,
        width: int,
        height: int,
        scale: Three,
        shift: Three,
        stream: Stream,
        *,
        half: bool = False,
    ) -> None:
        """Give to `stream`: resize a frame, normalise it and write its planes.

        Args:
            frame: in the GPU's memory.
            planes: address of `(3, height, width)`, red, green, blue, float32, or float16 with `half`.
            width: of the input.
            height: of the input.
            scale: the planes are `level * scale + shift`; for red, green, blue.
            shift: likewise.
            stream: that does it.
            half: whether the planes are float16.
        """
        tables = self._frame_tables(frame.width, frame.height, width, height, stream)
        across, down = (
            _with_addresses(axis, addresses) for axis, addresses in zip(tables.axes, tables.addresses, strict=True)
        )
        three = c_float * 3
        to = CInput(planes, width, height, int(half), 0, three(*scale), three(*shift))
        arguments = [_by_value(_c_frame(frame)), _by_value(across), _by_value(down), *tables.scalars, _by_value(to)]
        self._module.launch("br2net_preprocess", _grid(width, height, BLOCK[1]), BLOCK, arguments, stream)

    def postprocess(
        self,
        blur: int,
        blur_width: int,
        blur_height: int,
        pictures: DevicePictures,
        stream: Stream,
        *,
        half: bool = False,
        frame: DeviceFrame | None = None,
        opacity: float = 0.0,
        tint_bgr: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        """Give to `stream`: enlarge a map and fill the pictures.

        Args:
            blur: address of the network's map, float32 `(blur_height, blur_width)`, or float16 with `half`.
            blur_width: of the map.
            blur_height: of the map.
            pictures: what is wanted.
            stream: that does it.
            half: whether the map is float16.
            frame: BGR, of the pictures' size, for an overlay.
            opacity: of the tint where the map is 1; 0..1.
            tint_bgr: colour of the tint.
        """
        width, height = pictures.width, pictures.height
        tables = self._map_tables(blur_width, blur_height, width, height, stream)
        across, down = (CMapSide(*addresses) for addresses in tables.addresses)
        wanted = (pictures.map, pictures.grey, pictures.overlay, pictures.histogram, pictures.blurred)
        to = CPictures(*(address or None for address in wanted), width, height, opacity, (c_int32 * 3)(*tint_bgr))
        source = CFrame() if frame is None else _c_frame(frame)
        arguments: list[KernelArgument] = [np.uint64(blur), np.int32(blur_width), np.int32(blur_height)]
        arguments += [_by_value(item) for item in (across, down, source, to)]
        name = "br2net_postprocess_half" if half else "br2net_postprocess"
        self._module.launch(name, _grid(width, height, BLOCK[1] * ROWS_OF_A_THREAD), BLOCK, arguments, stream)

    def _frame_tables(self, own_width: int, own_height: int, width: int, height: int, stream: Stream) -> "_Tables":
        key = ("frame", own_width, own_height, width, height)
        if not self._knows(key, stream):
            axes, factor_and_bias = (CAxis * 2)(), (c_float * 2)()
            checked(open_library().br2net_plan(own_width, own_height, width, height, axes, factor_and_bias))
            sides = []
            for axis, wanted in zip(axes, (width, height), strict=True):
                lengths = (axis.shrunk, axis.shrunk, axis.shrunk * axis.taps, wanted, wanted, wanted, wanted)
                sides.append(
                    [
                        (getattr(axis, name), length)
                        for (name, _), length in zip(CAxis._fields_[:7], lengths, strict=True)
                    ]
                )
            scalars = [np.float32(value) for value in factor_and_bias]
            self._tables[key] = _upload(self._cuda, sides, stream, tuple(axes), scalars)
        return self._tables[key]

    def _map_tables(self, own_width: int, own_height: int, width: int, height: int, stream: Stream) -> "_Tables":
        key = ("map", own_width, own_height, width, height)
        if not self._knows(key, stream):
            sides = (CMapSide * 2)()
            checked(open_library().br2net_map_plan(own_width, own_height, width, height, sides))
            arrays = [
                [(getattr(side, name), length) for name, _ in CMapSide._fields_]
                for side, length in zip(sides, (width, height), strict=True)
            ]
            self._tables[key] = _upload(self._cuda, arrays, stream)
        return self._tables[key]

    def _knows(self, key: tuple[str, int, int, int, int], stream: Stream) -> bool:
        """Whether these weights are there, which makes them the latest used; otherwise there is room for them afterwards."""
        if key in self._tables:
            self._tables[key] = self._tables.pop(key)
            return True
        if len(self._tables) == KEPT_SIZES:
            stream.synchronize()
            self._tables.pop(next(iter(self._tables))).buffer.close()
        return False

    def close(self) -> None:
        """Free kernels and tables; what was given to a stream must be done."""
        for tables in self._tables.values():
            tables.buffer.close()
        self._tables.clear()
        self._module.close()

    def __enter__(self) -> "CudaKernels":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class _Tables:
    """Weights on the GPU: for both sides the addresses of their arrays, and what the kernel needs besides."""

    buffer: DeviceBuffer
    addresses: tuple[tuple[int, ...], ...]
    axes: tuple[CAxis, ...]
    scalars: tuple[np.float32, ...]


def _upload(
    cuda: Cuda,
    sides: Sequence[Sequence[tuple[int, int]]],
    stream: Stream,
    axes: tuple[CAxis, ...] = (),
    scalars: Sequence[np.float32] = (),
) -> _Tables:
    """Put arrays of 32-bit numbers, each an address and a length, into one buffer, and wait until they are there."""
    words = [
        np.ctypeslib.as_array(ctypes.cast(at, ctypes.POINTER(c_int32)), (length,))
        for side in sides
        for at, length in side
    ]
    together = np.concatenate(words)
    buffer = cuda.device_buffer(together.nbytes)
    with cuda.host_buffer(together.nbytes) as memory:
        memory.view(together.shape, np.int32)[...] = together
        cuda.upload(buffer, memory, together.nbytes, stream)
        stream.synchronize()
    addresses, place = [], buffer.address
    for side in sides:
        addresses.append(tuple(place + 4 * sum(length for _, length in side[:index]) for index in range(len(side))))
        place += 4 * sum(length for _, length in side)
    return _Tables(buffer, tuple(addresses), axes, tuple(scalars))


def _with_addresses(axis: CAxis, addresses: tuple[int, ...]) -> CAxis:
    return CAxis(*addresses, axis.taps, axis.shrunk)


def _c_frame(frame: DeviceFrame) -> CFrame:
    chroma = frame.chroma_address or None
    pitches = (frame.pitch_bytes, frame.chroma_pitch_bytes)
    return CFrame(frame.address, chroma, *pitches, frame.width, frame.height, frame.pixels.value, 0)


def _by_value(item: ctypes.Structure) -> np.void:
    """A structure as a kernel's argument. All of them are multiples of 8 bytes long, so each stays aligned."""
    return np.void(bytes(item))


def _grid(width: int, height: int, rows: int) -> tuple[int, int, int]:
    return -(-width // BLOCK[0]), -(-height // rows), 1
