import pytest

from br2net.live.web.channel import Channel
from tests.live.web.conftest import result


def test_the_history_holds_means_of_half_seconds() -> None:
    channel = Channel("bench")
    for index in range(100):  # ten seconds at ten frames a second, alternating 0.2 and 0.4
        channel.take(result(index, timestamp=1000 + index / 10, blurred_fraction=0.2 + 0.2 * (index % 2)))
    history = channel.history()
    assert len(history.timestamps) == pytest.approx(10 / 0.6, abs=1)  # a half second ends with the frame after it
    assert history.fractions == pytest.approx([0.3] * len(history.fractions), abs=0.04)
    assert list(history.timestamps) == sorted(history.timestamps)


def test_the_history_forgets_what_is_older_than_fifteen_minutes() -> None:
    channel = Channel("bench")
    for index in range(5000):
        channel.take(result(index, timestamp=1000 + index))
    assert len(channel.history().timestamps) <= 1800


def test_a_clock_set_back_does_not_stop_the_history() -> None:
    channel = Channel("bench")
    channel.take(result(0, timestamp=5000.0))
    channel.take(result(1, timestamp=1000.0))
    assert channel.history().timestamps == (1000.0,)
