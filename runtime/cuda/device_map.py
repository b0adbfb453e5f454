"""Blur maps in GPU memory, for further processing by PyTorch, CuPy, Numba or a CUDA kernel."""

import threading
from typing import Any

import numpy as np

from br2net.errors import CudaError
from br2net.runtime.cuda.dlpack import lend
from br2net.runtime.cuda.interface import Cuda, DeviceBuffer
from br2net.types import Closing, Map


class DeviceMap(Closing):
    """The blur map of one frame, float32 `(H, W)` at the frame's size, 0 = in focus, 1 = blurred, in GPU memory.

    It is complete: nothing has to be waited for. The object owns its memory and gives it back at `close`, at the end of
    its `with` block, or when it is no longer referred to. What was taken through DLPack (`torch.from_dlpack`) keeps the
    memory for as long as it is used; what was taken through `__cuda_array_interface__` (`cupy.asarray`) is valid while
    this object is open. Both outlive the detector.

    Attributes:
        shape: `(H, W)`, pixels.
    """

    def __init__(self, cuda: Cuda, buffer: DeviceBuffer, shape: tuple[int, int]) -> None:
        """Take over `buffer`, which was made with `outlives` and holds the map."""
        self._guard = threading.Lock()
        self._open = False
        self._cuda, self._buffer = cuda, buffer
        self._users = 1
        self._address = buffer.address
        self.shape = shape
        self._open = True

    @property
    def address(self) -> int:
        """Device address of the first value; the map lies in C order."""
        if not self._open:
            raise CudaError("The map in GPU memory is closed.")
        return self._address

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """CUDA array interface, version 3; no stream to wait for."""
        return {
            "shape": self.shape,
            "typestr": "<f4",
            "data": (self.address, False),
            "strides": None,
            "stream": None,
            "version": 3,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return type and number of the device."""
        return self._cuda.dlpack_device

    def __dlpack__(
        self,
        *,
        stream: object = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> object:
        """Return a DLPack capsule of the same memory; its consumer may use it on any stream at once.

        Raises:
            BufferError: if another device or a copy is asked for.
        """
        if copy or (dl_device is not None and tuple(dl_device) != self._cuda.dlpack_device):
            raise BufferError("The map is lent where it is; copy it with the library that takes it.")
        address = self.address
        with self._guard:
            self._users += 1
        return lend(address, self.shape, self._cuda.dlpack_device, self._give_up)

    def to_host(self) -> Map:
        """Copy the map to CPU memory; the detector must be open.

        Raises:
            CudaError: if the map or the detector is closed, or the copy fails.
        """
        if not self._open:
            raise CudaError("The map in GPU memory is closed.")
        size_bytes, cuda = self._buffer.size_bytes, self._cuda
        with cuda.active(), cuda.host_buffer(size_bytes) as memory, cuda.stream() as stream:
            cuda.download(memory, self._buffer, size_bytes, stream)
            stream.synchronize()
            return np.array(memory.view(self.shape, np.float32))

    def _give_up(self) -> None:
        """Count one user less; the last one frees the memory."""
        with self._guard:
            self._users -= 1
            last = self._users == 0
        if last:
            self._cuda.release(self._buffer)

    def close(self) -> None:
        """Give the memory back, as soon as nothing that was taken through DLPack needs it. Idempotent."""
        with self._guard:
            if not self._open:
                return
            self._open = False
        self._give_up()

    def __del__(self) -> None:
        self.close()
