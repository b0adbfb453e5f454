"""A bounded queue between two threads, with a named policy for what happens when it is full."""

import threading
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")


class BufferPolicy(Enum):
    """What happens when an item is put and the buffer is full."""

    DROP_OLDEST = "oldest"
    """The oldest item is dropped: what is taken is always recent. For live sources."""
    WAIT = "wait"
    """Putting waits until an item is taken: none is lost. For files, and between the stages of a pipeline."""


class Buffer(Generic[T]):
    """Hands items from one thread to another in order, at most `size` at a time. Either side may end it.

    Attributes:
        dropped: number of items that were dropped since the first one was taken.
        wanted: True if anybody has taken yet; what came before was not lost to anybody.
    """

    def __init__(
        self, size: int = 1, policy: BufferPolicy = BufferPolicy.WAIT, ready: Callable[[], None] = lambda: None
    ) -> None:
        """Make an empty buffer; `ready` is called after each item and at the end."""
        self._items: deque[T] = deque()
        self._size, self._policy, self._ready = size, policy, ready
        self._changed = threading.Condition()
        self._ended = False
        self.dropped = 0
        self.wanted = False

    def put(self, item: T) -> bool:
        """Add an item by the policy; False if the buffer was ended and the item is not in it."""
        with self._changed:
            if self._policy is BufferPolicy.WAIT:
                self._changed.wait_for(lambda: self._ended or len(self._items) < self._size)
            if self._ended:
                return False
            if len(self._items) >= self._size:
                self._items.popleft()
                self.dropped += self.wanted
            self._items.append(item)
            self._changed.notify_all()
        self._ready()
        return True

    def take(self, timeout_s: float | None = None) -> T | None:
        """Take the oldest item; wait for one at most `timeout_s` (None: until the end). None if there is none."""
        with self._changed:
            self.wanted = True
            self._changed.wait_for(lambda: self._ended or bool(self._items), timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def end(self) -> None:
        """Take no more items; those inside can still be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._ready()

    def discard(self) -> list[T]:
        """End, and return the items inside, which can no longer be taken."""
        with self._changed:
            left = list(self._items)
            self._items.clear()
        self.end()
        return left

    @property
    def exhausted(self) -> bool:
        """Whether it was ended and is empty: nothing will ever come again."""
        with self._changed:
            return self._ended and not self._items
