"""Blur maps that stay on the GPU, for a user who goes on there: PyTorch, CuPy, Numba, or a kernel of his own."""

import threading
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from br2net.errors import CudaError
from br2net.runtime.cuda.dlpack import lend
from br2net.runtime.cuda.interface import Cuda, DeviceBuffer


class DeviceMap:
    """Blur maps `(N, 1, h, w)` at the network's size, 0 = in focus, 1 = blurred, in memory of the GPU.

    They are complete: nothing has to be waited for. The object owns their memory and gives it back at `close`, at the
    end of its `with` block, or when it is no longer referred to. What was taken through DLPack (`torch.from_dlpack`)
    keeps the memory for as long as it is used; what was taken through `__cuda_array_interface__` (`cupy.asarray`) is
    valid while this object is open. Both outlive the detector.

    Attributes:
        shape: `(N, 1, h, w)`.
        dtype: float32, or float16 where the engine's output is.
    """

    def __init__(
        self, cuda: Cuda, buffer: DeviceBuffer, shape: tuple[int, int, int, int], dtype: np.dtype[Any]
    ) -> None:
        """Take over `buffer`, which was made with `outlives` and holds the maps."""
        self._guard = threading.Lock()
        self._open = False
        self._cuda, self._buffer = cuda, buffer
        self._users = 1
        self._address = buffer.address
        self.shape, self.dtype = shape, dtype
        self._open = True

    @property
    def address(self) -> int:
        """Device address of the first value; the maps lie in C order."""
        if not self._open:
            raise CudaError("The maps on the GPU are closed.")
        return self._address

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """CUDA array interface, version 3; no stream to wait for."""
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, False),
            "strides": None,
            "stream": None,
            "version": 3,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        """Type and number of the device."""
        return self._cuda.dlpack_device

    def __dlpack__(
        self,
        *,
        stream: object = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> object:
        """A DLPack capsule of the same memory; its consumer may use it on any stream at once.

        Raises:
            BufferError: if another device or a copy is asked for.
        """
        if copy or (dl_device is not None and tuple(dl_device) != self._cuda.dlpack_device):
            raise BufferError("The maps are lent where they are; copy them with the library that takes them.")
        address = self.address
        with self._guard:
            self._users += 1
        return lend(address, self.shape, self.dtype.itemsize * 8, self._cuda.dlpack_device, self._give_up)

    def to_host(self) -> NDArray[np.float32]:
        """The maps as float32 `(N, 1, h, w)` in the CPU's memory, owned by the caller; while the detector is open.

        Raises:
            CudaError: if they or the detector are closed, another thread is computing, or the copy fails.
        """
        if not self._open:
            raise CudaError("The maps on the GPU are closed.")
        size_bytes = self._buffer.size_bytes
        cuda = self._cuda
        with cuda.active(), cuda.host_buffer(size_bytes) as memory, cuda.stream() as stream:
            cuda.download(memory, self._buffer, size_bytes, stream)
            stream.synchronize()
            return np.array(memory.view(self.shape, self.dtype), dtype=np.float32)

    def _give_up(self) -> None:
        """One user fewer; the last one frees the memory."""
        with self._guard:
            self._users -= 1
            last = self._users == 0
        if last:
            self._cuda.release(self._buffer)

    def close(self) -> None:
        """Give the memory back, once nobody who took it through DLPack needs it; a second time does no harm."""
        with self._guard:
            if not self._open:
                return
            self._open = False
        self._give_up()

    def __enter__(self) -> "DeviceMap":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
