"""A bounded queue between two stages that can be ended from either side."""

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """Hands items from the threads of one stage to those of the next, in order."""

    def __init__(self, size: int) -> None:
        """Hold at most `size` items."""
        self._items: deque[T] = deque()
        self._size = size
        self._ended = False
        self._changed = threading.Condition()

    def wait_for_room(self) -> bool:
        """Wait until an item fits; False if the channel was ended. With one thread that puts, the room stays."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(self._items) < self._size)
            return not self._ended

    def put(self, item: T) -> bool:
        """Add an item, waiting for room; False if the channel was ended and the item is not in it."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(self._items) < self._size)
            if self._ended:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self) -> T | None:
        """Take the oldest item, waiting for one; None once the channel is ended and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or bool(self._items))
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def end(self, discard: bool = False) -> None:
        """Take no more items; those inside can still be taken, unless `discard`."""
        with self._changed:
            self._ended = True
            if discard:
                self._items.clear()
            self._changed.notify_all()
