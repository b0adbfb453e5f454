"""A queue of one between two stages that can be ended from either side."""

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """Hands items from the threads of one stage to those of the next, in order."""

    def __init__(self) -> None:
        self._items: list[T] = []  # none or one
        self._ended = False
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Add an item, waiting for room; False if the channel was ended and the item is not in it."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or not self._items)
            if self._ended:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self) -> T | None:
        """Take the oldest item, waiting for one; None once the channel is ended and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._items != [])
            if not self._items:
                return None
            item = self._items.pop()
            self._changed.notify_all()
            return item

    def end(self) -> None:
        """Take no more items; those inside can still be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def discard(self) -> list[T]:
        """End, and return the items inside, which nobody can take any more."""
        with self._changed:
            left, self._items = self._items, []
            self.end()
            return left
