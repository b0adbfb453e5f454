"""Lock on a CUDA context."""

import threading

from br2net.errors import CudaError


class ContextLock:
    """Shared by the threads that use a CUDA context, exclusive for the one that closes it.

    CUDA's calls are safe in several threads at once, so users do not exclude each other.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()  # its lock may be taken again by a destructor in the same thread
        self._depths: dict[int, int] = {}  # of the threads inside, how often each has entered
        self._closed = False

    def is_inside(self) -> bool:
        """Return whether this thread is inside."""
        return threading.get_ident() in self._depths

    def enter(self) -> bool:
        """Enter; return whether this thread was not inside before.

        Raises:
            CudaError: if `close` was called.
        """
        me = threading.get_ident()
        with self._changed:
            if self._closed and me not in self._depths:
                raise CudaError("The GPU's buffers are closed; load the model again.")
            self._depths[me] = self._depths.get(me, 0) + 1
            return self._depths[me] == 1

    def leave(self) -> None:
        """Leave once."""
        me = threading.get_ident()
        with self._changed:
            self._depths[me] -= 1
            if not self._depths[me]:
                del self._depths[me]
                self._changed.notify_all()

    def close(self) -> bool:
        """Let nobody else enter, wait until all have left, and enter; return False if it was closed before.

        Raises:
            CudaError: if this thread is inside.
        """
        if self.is_inside():
            raise CudaError("The GPU cannot be closed inside `with cuda.active()`; leave the block first.")
        with self._changed:
            if self._closed:
                return False
            self._closed = True
            self._changed.wait_for(lambda: not self._depths)
            self._depths[threading.get_ident()] = 1
            return True
