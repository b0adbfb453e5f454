"""One owner at a time: which thread may use what belongs to one `Cuda` object."""

import threading
import time

from br2net.errors import CudaError


class Lease:
    """Held by the thread that is inside `Cuda.active`, which may enter again; others are refused and do not wait.

    But for a moment: who comes to free a buffer (`try_take_briefly`) holds it so shortly that others do wait for that.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._counting = threading.Lock()
        self._brief = 0
        self._owner = 0
        self._holder = ""
        self._depth = 0

    def take(self) -> bool:
        """Enter; True where this thread was not inside already.

        Raises:
            CudaError: if another thread is inside.
        """
        while not self._lock.acquire(blocking=False):
            if self._brief == 0:
                raise CudaError(
                    f"Thread {threading.current_thread().name} cannot use this detector while thread {self._holder} "
                    f"does; make one detector for each thread."
                )
            time.sleep(0.0)
        self._enter()
        return self._depth == 1

    def try_take_briefly(self) -> bool:
        """Enter unless another thread is inside, or this one; whether it was entered. `give_back_briefly` leaves."""
        if self.is_mine():
            return False
        with self._counting:
            self._brief += 1
        if self._lock.acquire(blocking=False):
            self._enter()
            return True
        with self._counting:
            self._brief -= 1
        return False

    def give_back_briefly(self) -> None:
        """Leave after `try_take_briefly`."""
        self.give_back()
        with self._counting:
            self._brief -= 1

    def give_back(self) -> None:
        """Leave."""
        self._depth -= 1
        if self._depth == 0:
            self._owner = 0
        self._lock.release()

    def is_mine(self) -> bool:
        """Whether this thread is inside."""
        return self._owner == threading.get_ident()

    def _enter(self) -> None:
        self._depth += 1
        self._owner = threading.get_ident()
        self._holder = threading.current_thread().name
