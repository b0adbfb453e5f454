"""Who owns what belongs to one `Cuda` object."""

import threading
from collections.abc import Callable

import pytest

from br2net.errors import CudaError
from br2net.runtime.cuda.lease import Lease


def elsewhere(work: Callable[[], object]) -> list[object]:
    """What `work` gives in another thread, or the error it raises."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(work())
        except CudaError as error:
            results.append(error)

    thread = threading.Thread(target=run, name="other")
    thread.start()
    thread.join()
    return results


def test_the_holder_enters_again_and_others_are_refused_until_it_has_left() -> None:
    lease = Lease()
    assert lease.take() and not lease.take()
    (refused,) = elsewhere(lease.take)
    assert isinstance(refused, CudaError)
    assert "Thread other cannot use this detector while thread MainThread does" in str(refused)
    lease.give_back()
    assert isinstance(elsewhere(lease.take)[0], CudaError)
    assert lease.is_mine() and elsewhere(lease.is_mine) == [False]
    lease.give_back()
    assert not lease.is_mine()
    assert elsewhere(lambda: lease.take() and (lease.give_back() or True)) == [True]


def test_who_comes_briefly_does_not_disturb_the_holder() -> None:
    lease = Lease()
    lease.take()
    assert not lease.try_take_briefly()
    assert elsewhere(lease.try_take_briefly) == [False]
    lease.give_back()
    assert lease.try_take_briefly()
    lease.give_back_briefly()


def test_nobody_is_refused_for_one_who_comes_briefly() -> None:
    lease = Lease()
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            if lease.try_take_briefly():
                lease.give_back_briefly()

    threads = [threading.Thread(target=come_and_go) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(300):
            lease.take()  # raises where it is refused
            lease.give_back()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    with pytest.raises(RuntimeError):
        lease.give_back()
