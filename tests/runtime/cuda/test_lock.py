"""The lock on a CUDA context: shared by its users, exclusive for the thread that closes it."""

import threading

import pytest

from br2net.errors import CudaError
from br2net.runtime.cuda.lock import ContextLock


def test_a_thread_enters_again_and_only_its_outermost_entry_counts() -> None:
    lock = ContextLock()
    assert lock.enter() and not lock.enter() and lock.is_inside()
    lock.leave()
    assert lock.is_inside()
    lock.leave()
    assert not lock.is_inside()


def test_users_do_not_exclude_each_other() -> None:
    lock, together = ContextLock(), threading.Barrier(3)

    def use() -> None:
        lock.enter()
        together.wait(60)
        lock.leave()

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not together.broken and lock.close()


def test_closing_waits_for_users_and_lets_no_other_enter() -> None:
    lock, order = ContextLock(), []
    lock.enter()
    closer = threading.Thread(target=lambda: (lock.close(), order.append("closed"), lock.leave()))
    closer.start()
    refused: list[str] = []

    def enter() -> None:
        while not refused:
            try:
                lock.enter()
                lock.leave()
            except CudaError as error:
                refused.append(str(error))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert "load the model again" in refused[0]
    lock.enter()  # a user who is inside may enter again
    lock.leave()
    order.append("left")
    lock.leave()
    closer.join()
    assert order == ["left", "closed"]
    assert not lock.close()


def test_closing_from_inside_is_refused() -> None:
    lock = ContextLock()
    lock.enter()
    with pytest.raises(CudaError, match="cannot be closed inside"):
        lock.close()
    lock.leave()
    assert lock.close()
