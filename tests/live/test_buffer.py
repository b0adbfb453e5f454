import threading

from br2net.live.buffer import Buffer, BufferPolicy


def taken(buffer: Buffer[int]) -> list[int]:
    found = []
    while (item := buffer.take(0.0)) is not None:
        found.append(item)
    return found


def test_dropping_the_oldest_keeps_the_newest_items_in_order() -> None:
    buffer: Buffer[int] = Buffer(2, BufferPolicy.DROP_OLDEST)
    assert buffer.take(0.0) is None
    for index in range(5):
        assert buffer.put(index)
    assert taken(buffer) == [3, 4]
    assert buffer.dropped == 3


def test_what_is_replaced_before_anybody_takes_does_not_count_as_dropped() -> None:
    buffer: Buffer[int] = Buffer(1, BufferPolicy.DROP_OLDEST)
    for index in range(5):
        buffer.put(index)
    assert taken(buffer) == [4]
    assert buffer.dropped == 0


def test_waiting_holds_the_thread_that_puts_until_an_item_is_taken() -> None:
    buffer: Buffer[int] = Buffer()
    thread = threading.Thread(target=lambda: [buffer.put(index) for index in range(100)])
    thread.start()
    indices = []
    while len(indices) < 100:
        item = buffer.take(20.0)
        assert item is not None
        indices.append(item)
    thread.join()
    assert indices == list(range(100))
    assert buffer.dropped == 0


def test_ending_frees_threads_that_wait_on_either_side() -> None:
    full: Buffer[int] = Buffer()
    empty: Buffer[int] = Buffer()
    full.put(0)
    answers: list[object] = []
    threads = [
        threading.Thread(target=lambda: answers.append(full.put(1))),
        threading.Thread(target=lambda: answers.append(empty.take())),
    ]
    for thread in threads:
        thread.start()
    full.end()
    empty.end()
    for thread in threads:
        thread.join(20.0)
    assert sorted(map(str, answers)) == ["False", "None"]
    assert not full.exhausted and empty.exhausted


def test_discarding_ends_the_buffer_and_gives_back_what_is_inside() -> None:
    buffer: Buffer[int] = Buffer(3)
    buffer.put(1)
    buffer.put(2)
    assert buffer.discard() == [1, 2]
    assert buffer.exhausted and not buffer.put(3)


def test_the_listener_hears_of_every_item_and_of_the_end() -> None:
    heard: list[int] = []
    buffer: Buffer[int] = Buffer(3, BufferPolicy.WAIT, lambda: heard.append(1))
    buffer.put(0)
    buffer.put(1)
    buffer.end()
    assert len(heard) == 3
