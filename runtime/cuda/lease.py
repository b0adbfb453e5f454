"""One owner at a time: which thread may use what belongs to one `Cuda` object."""

import threading

from br2net.runtime.cuda.errors import CudaError


class Lease:
    """Held by the thread that is inside `Cuda.active`, which may enter again; others are refused and do not wait."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._holder = ""
        self._depth = 0

    def take(self) -> bool:
        """Enter; True where this thread was not inside already.

        Raises:
            CudaError: if another thread is inside.
        """
        if not self.try_take():
            raise CudaError(
                f"Thread {threading.current_thread().name} cannot use this detector while thread {self._holder} does; "
                f"make one detector for each thread."
            )
        return self._depth == 1

    def try_take(self) -> bool:
        """Enter unless another thread is inside; whether it was entered."""
        if not self._lock.acquire(blocking=False):
            return False
        self._depth += 1
        self._holder = threading.current_thread().name
        return True

    def give_back(self) -> bool:
        """Leave; True where this thread is outside now."""
        self._depth -= 1
        outside = self._depth == 0
        self._lock.release()
        return outside

    @property
    def depth(self) -> int:
        """How many blocks of the holder are nested; 0 where there is none."""
        return self._depth

    def is_mine(self) -> bool:
        """Whether this thread is inside."""
        if not self._lock.acquire(blocking=False):
            return False
        inside = self._depth > 0
        self._lock.release()
        return inside
