import pytest

from br2net.live.web.hub import Feed
from tests.live.web.conftest import result


def test_the_history_holds_means_of_half_seconds() -> None:
    feed = Feed("bench")
    for index in range(100):  # ten seconds at ten frames a second, alternating 0.2 and 0.4
        feed.take(result(index, timestamp=1000 + index / 10, blurred_fraction=0.2 + 0.2 * (index % 2)))
    timestamps, fractions = feed.history()
    assert len(timestamps) == pytest.approx(10 / 0.6, abs=1)  # a half second ends with the frame after it
    assert fractions == pytest.approx([0.3] * len(fractions), abs=0.04)
    assert timestamps == sorted(timestamps)


def test_the_history_forgets_what_is_older_than_fifteen_minutes() -> None:
    feed = Feed("bench")
    for index in range(5000):
        feed.take(result(index, timestamp=1000 + index))
    assert len(feed.history()[0]) <= 1800


def test_a_clock_set_back_does_not_stop_the_history() -> None:
    feed = Feed("bench")
    feed.take(result(0, timestamp=5000.0))
    feed.take(result(1, timestamp=1000.0))
    assert feed.history()[0] == [1000.0]
