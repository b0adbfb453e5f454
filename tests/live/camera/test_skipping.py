from br2net.live.camera.timing import FIRST_QUIET_S, WINDOW_FRAMES, AdaptiveSkip


def offer(skip: AdaptiveSkip, frames: int, dropped_each: int, now: float, step: float = 1.0 / 30.0) -> float:
    """Offer frames of which every `dropped_each`-th drops another (0: none); gives the time afterwards."""
    for index in range(frames):
        now += step
        skip.update(int(dropped_each > 0 and index % dropped_each == 0), now)
    return now


def test_every_frame_is_taken_while_few_are_dropped() -> None:
    skip = AdaptiveSkip(0.0)
    offer(skip, 300, dropped_each=10, now=0.0)
    assert skip.stride == 1


def test_dropping_two_of_three_leads_to_every_third() -> None:
    skip = AdaptiveSkip(0.0)
    for index in range(WINDOW_FRAMES):
        skip.update(int(index % 3 != 0), index / 30.0)
    assert skip.stride == 3


def test_a_device_that_recovers_gets_every_frame_again() -> None:
    skip = AdaptiveSkip(0.0)
    now = offer(skip, WINDOW_FRAMES, dropped_each=2, now=0.0)
    assert skip.stride == 2
    offer(skip, 30 * 60, dropped_each=0, now=now)
    assert skip.stride == 1


def test_a_trial_that_fails_makes_the_next_one_wait_longer() -> None:
    skip = AdaptiveSkip(0.0)
    now = offer(skip, WINDOW_FRAMES, dropped_each=2, now=0.0)
    waits = []
    for _ in range(3):
        began = now
        while skip.stride == 2:
            now = offer(skip, WINDOW_FRAMES, dropped_each=0, now=now)
        waits.append(now - began)
        now = offer(skip, WINDOW_FRAMES, dropped_each=2, now=now)
        assert skip.stride == 2
    assert FIRST_QUIET_S <= waits[0] < waits[1] < waits[2]
    assert waits[2] >= 4 * FIRST_QUIET_S
