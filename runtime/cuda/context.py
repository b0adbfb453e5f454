"""CUDA's primary context of each GPU, retained once for the life of the process; PyTorch and TensorRT use the same.

It is never made current when this module is imported (as `pycuda.autoinit` does), only within `Cuda.active`.
"""

import atexit
import threading
import weakref
from contextlib import suppress
from typing import Protocol

import pycuda.driver as driver

from br2net.errors import BackendError, CudaError
from br2net.runtime.cuda.errors import cuda_error

_retained: dict[int, "PrimaryContext"] = {}
_guard = threading.Lock()


class User(Protocol):
    """Something that is open in a context."""

    def close(self) -> None:
        """Close it."""


class PrimaryContext:
    """The primary context of one GPU.

    Attributes:
        device: pycuda's object of the GPU.
        fault: why nothing works in the context any more; None while it does.
        users: everything that is open in it, for the end of the process.
    """

    def __init__(self, index: int) -> None:
        try:
            driver.init()
            self.device = driver.Device(index)
            self._context = self.device.retain_primary_context()
        except driver.Error as error:
            raise cuda_error(str(error), "opening the GPU") from error
        self.fault: CudaError | None = None
        self.users: weakref.WeakSet[User] = weakref.WeakSet()

    def check(self) -> None:
        """Raise the fault that ended the context, if there was one."""
        if self.fault is not None:
            raise CudaError(str(self.fault), sticky=True)

    def push(self) -> None:
        """Make it current in this thread."""
        self.check()
        try:
            self._context.push()
        except driver.Error as error:
            raise self.failed(error, "entering the GPU's context") from error

    def pop(self) -> None:
        """Undo `push`, in the same thread."""
        if self.fault is None:
            driver.Context.pop()
            return
        with suppress(driver.Error):  # pycuda aborts the process where a thread ends with its stack not empty
            driver.Context.pop()

    def failed(self, error: Exception, doing: str) -> CudaError:
        """Return this package's error for one of the driver's; abandon the context after a sticky one."""
        failure = error if isinstance(error, CudaError) else cuda_error(str(error) or type(error).__name__, doing)
        if failure.sticky and self.fault is None:
            self.abandon(failure)
        return failure

    def abandon(self, fault: CudaError) -> None:
        """Use it no more. pycuda's objects in it then free nothing: there is nothing left that could be freed."""
        self.fault = fault
        with suppress(driver.Error):
            self._context.detach()

    def end(self) -> None:
        """Close what is open in it and give it back, at the end of the process."""
        for user in list(self.users):
            with suppress(BackendError):
                user.close()
        if self.fault is None:
            self.abandon(CudaError("The process is ending; CUDA is not used any more.", sticky=True))


def primary_context(index: int) -> PrimaryContext:
    """Return the primary context of GPU number `index`: one object for the whole process.

    Raises:
        CudaError: if the driver refuses.
    """
    with _guard:
        if not _retained:
            atexit.register(_end)
        if index not in _retained:
            _retained[index] = PrimaryContext(index)
        return _retained[index]


def _end() -> None:
    for context in list(_retained.values()):
        context.end()
