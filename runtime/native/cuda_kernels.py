"""The CUDA kernels on buffers of the GPU: the same two verbs as `cpu`, to the same bits."""

import ctypes
from collections.abc import Sequence
from ctypes import c_float, c_int32
from dataclasses import dataclass

import numpy as np

from br2net.errors import BackendError
from br2net.runtime.cuda.interface import Cuda, DeviceBuffer, KernelArgument, Module, Stream
from br2net.runtime.native.installed import FATBIN
from br2net.runtime.native.library import CAxis, CFrame, CInput, CMapSide, CPictures, checked, open_library, status
from br2net.types import Closing, PixelFormat

Three = tuple[float, float, float]
BLOCK = (32, 8, 1)
KEPT_SIZES = 64  # pairs of sizes whose weights stay on the GPU, some ten kilobytes each
ROWS_OF_A_THREAD = 8  # of postprocess: long blocks, for a block has a histogram of its own to add up


@dataclass(frozen=True)
class DeviceFrame:
    """A frame in GPU memory, which belongs to the caller.

    Attributes:
        address: device address of the first row; rows are `pitch_bytes` apart.
        width, height: pixels; both even for NV12, the width even for YUYV.
        pixels: pixel format.
        chroma_address, chroma_pitch_bytes: second plane of NV12.

    Raises:
        ValueError: if that is no such frame; a kernel would read outside of it.
    """

    address: int
    pitch_bytes: int
    width: int
    height: int
    pixels: PixelFormat = PixelFormat.BGR
    chroma_address: int = 0
    chroma_pitch_bytes: int = 0

    def __post_init__(self) -> None:
        nv12 = self.pixels is PixelFormat.NV12
        row = self.width * {PixelFormat.BGR: 3, PixelFormat.NV12: 1, PixelFormat.YUYV: 2}[self.pixels]
        if (
            min(self.width, self.height) < 1
            or (self.pixels is not PixelFormat.BGR and self.width % 2)
            or (nv12 and (self.height % 2 or not self.chroma_address or self.chroma_pitch_bytes < row))
            or not self.address
            or self.pitch_bytes < row
        ):
            raise ValueError(
                f"A frame on the GPU must have a size, pitches and planes that fit its format, got {self}."
            )


@dataclass(frozen=True)
class DevicePictures:
    """Addresses that `postprocess` fills, rows without a gap; 0 leaves one out.

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


def load_kernels(cuda: Cuda) -> Module:
    """Load the kernels on a GPU.

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
    return cuda.load_module(FATBIN.read_bytes())


class CudaKernels(Closing):
    """The kernels and the resize weights that one stream needs. Used inside `cuda.active()`, always with the same stream.

    The weights of a pair of sizes are uploaded when it is first met, which waits for the stream: before a capture, run once.

    Args:
        cuda: GPU.
        module: kernels that `load_kernels` gave and the caller closes; None to load and own them.
    """

    def __init__(self, cuda: Cuda, module: Module | None = None) -> None:
        self._cuda = cuda
        self._module = load_kernels(cuda) if module is None else module
        self._owns_module = module is None
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
        """Enqueue: resize a frame, normalise it and write its planes.

        Args:
            frame: in the GPU's memory.
            planes: address of `(3, height, width)`, red, green, blue, float32, or float16 with `half`.
            width: width of the input.
            height: height of the input.
            scale: factors of `level * scale + shift`; for red, green, blue.
            shift: summands; for red, green, blue.
            stream: stream to enqueue on.
            half: whether the planes are float16.

        Raises:
            ValueError: if the input has no pixels.
        """
        if min(width, height) < 1:
            raise ValueError(f"An input must have pixels, got {width}x{height}.")
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
        """Enqueue: enlarge a map and fill the pictures.

        Args:
            blur: address of the network's map, float32 `(blur_height, blur_width)`, or float16 with `half`.
            blur_width: width of the map.
            blur_height: height of the map.
            pictures: outputs to fill.
            stream: stream to enqueue on.
            half: whether the map is float16.
            frame: BGR, of the pictures' size, for an overlay.
            opacity: opacity of the tint where the map is 1; 0..1.
            tint_bgr: colour of the tint.

        Raises:
            ValueError: if a side is 0, or an overlay has no BGR frame of its size.
        """
        width, height = pictures.width, pictures.height
        if min(width, height, blur_width, blur_height) < 1:
            raise ValueError(f"A map must have pixels, got {blur_width}x{blur_height} to {width}x{height}.")
        if pictures.overlay and (
            frame is None or frame.pixels is not PixelFormat.BGR or (frame.width, frame.height) != (width, height)
        ):
            raise ValueError(f"An overlay of {width}x{height} needs a BGR frame of this size, got {frame}.")
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
        """Return whether these weights are there, as the latest used then; otherwise make room for them."""
        if key in self._tables:
            self._tables[key] = self._tables.pop(key)
            return True
        if len(self._tables) == KEPT_SIZES:
            stream.synchronize()
            self._tables.pop(next(iter(self._tables))).buffer.close()
        return False

    def close(self) -> None:
        """Free the weights, and kernels that it owns; the stream is synchronised."""
        for tables in self._tables.values():
            tables.buffer.close()
        self._tables.clear()
        if self._owns_module:
            self._module.close()


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
