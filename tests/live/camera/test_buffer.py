import threading

import numpy as np

from br2net.live.camera import BufferPolicy, CapturedFrame
from br2net.live.camera.frame import FrameBuffer


def frame(index: int) -> CapturedFrame:
    return CapturedFrame("test", index, 0.0, np.zeros((1, 1, 3), np.uint8), 0.0, 0.0)


def taken(buffer: FrameBuffer) -> list[int]:
    indices = []
    while (item := buffer.take()) is not None:
        indices.append(item.index)
    return indices


def test_dropping_the_oldest_keeps_the_newest_frames_in_order() -> None:
    buffer = FrameBuffer(2, BufferPolicy.DROP_OLDEST, lambda: None)
    assert buffer.take() is None
    for index in range(5):
        assert buffer.put(frame(index))
    assert taken(buffer) == [3, 4]
    assert buffer.dropped == 3


def test_what_is_replaced_before_anybody_takes_does_not_count_as_dropped() -> None:
    buffer = FrameBuffer(1, BufferPolicy.DROP_OLDEST, lambda: None)
    for index in range(5):
        buffer.put(frame(index))
    assert taken(buffer) == [4]
    assert buffer.dropped == 0


def test_waiting_holds_the_one_who_puts_until_a_frame_is_taken() -> None:
    buffer = FrameBuffer(1, BufferPolicy.WAIT, lambda: None)
    thread = threading.Thread(target=lambda: [buffer.put(frame(index)) for index in range(100)])
    thread.start()
    indices = []
    while len(indices) < 100:
        item = buffer.take(20.0)
        assert item is not None
        indices.append(item.index)
    thread.join()
    assert indices == list(range(100))
    assert buffer.dropped == 0


def test_ending_frees_whoever_waits_on_either_side() -> None:
    full, empty = (FrameBuffer(1, BufferPolicy.WAIT, lambda: None) for _ in range(2))
    full.put(frame(0))
    answers: list[object] = []
    threads = [
        threading.Thread(target=lambda: answers.append(full.put(frame(1)))),
        threading.Thread(target=lambda: answers.append(empty.take(None))),
    ]
    for thread in threads:
        thread.start()
    full.end()
    empty.end()
    for thread in threads:
        thread.join(20.0)
    assert sorted(map(str, answers)) == ["False", "None"]
    assert not full.exhausted and empty.exhausted


def test_the_listener_hears_of_every_frame_and_of_the_end() -> None:
    heard: list[int] = []
    buffer = FrameBuffer(3, BufferPolicy.WAIT, lambda: heard.append(1))
    buffer.put(frame(0))
    buffer.put(frame(1))
    buffer.end()
    assert len(heard) == 3
