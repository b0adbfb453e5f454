import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from br2net.live.alerts import AlertMonitor, Alerts, parse_rules
from br2net.live.web import PageInfo, WebPage
from tests.live.web.browser import wait_for
from tests.live.web.conftest import PageMaker, decode, judged, result


@pytest.fixture
def page(make_page: PageMaker) -> WebPage:
    return make_page(PageInfo(("bench", "door"), "mobile", "openvino, cpu"), largest_fps=1000.0)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as closing:
        yield closing


def open_socket(stack: ExitStack, page: WebPage, path: str) -> ClientConnection:
    return stack.enter_context(connect(f"ws://127.0.0.1:{page.port}{path}", compression=None, close_timeout=0.2))


def next_packet(socket: ClientConnection) -> dict[str, Any]:
    """The record of the next frame, answered for."""
    while True:
        message = socket.recv(timeout=30)
        if isinstance(message, bytes):
            socket.send("shown")
            return decode(message)[0]


def next_text(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while True:
        message = socket.recv(timeout=30)
        if isinstance(message, str) and json.loads(message)["type"] == kind:
            return dict(json.loads(message))


def test_a_frame_is_encoded_once_for_all_viewers(page: WebPage, stack: ExitStack) -> None:
    viewers = [open_socket(stack, page, "/ws/view") for _ in range(4)]
    for viewer in viewers:
        next_text(viewer, "state")
    for index in range(12):
        page.write(result(index))
        assert [next_packet(viewer)["frame"] for viewer in viewers] == [index] * 4
    assert page.hub.encoded == 12
    assert page.hub.sent == 48


def test_nothing_is_encoded_for_nobody(page: WebPage, stack: ExitStack) -> None:
    for index in range(20):
        page.write(result(index))
        page.write(result(index, camera="door"))
    assert page.hub.encoded == 0
    viewer = open_socket(stack, page, "/ws/view?camera=door")
    assert next_packet(viewer)["camera"] == "door"
    assert page.hub.encoded == 1


def test_a_viewer_that_stops_reading_loses_frames_and_nobody_else_does(page: WebPage, stack: ExitStack) -> None:
    asleep = open_socket(stack, page, "/ws/view")
    awake = open_socket(stack, page, "/ws/view")
    next_text(asleep, "state")
    next_text(awake, "state")
    for index in range(100):
        page.write(result(index))
        assert next_packet(awake)["frame"] == index
    assert page.hub.sent == 102  # two ahead of its answers is all that the one asleep was given
    sleeper = next(viewer for viewer in page.hub.viewers if viewer.sent == 2)
    assert sleeper.packet is None  # nothing piles up for it
    for _ in range(2):
        next_packet(asleep)
    assert next_packet(asleep)["frame"] == 99  # once awake, it sees what is now


def test_the_pipeline_is_never_held_up(page: WebPage, stack: ExitStack) -> None:
    viewer = open_socket(stack, page, "/ws/view")
    next_text(viewer, "state")
    for index in range(2000):  # far faster than anything can be encoded and sent
        page.write(result(index))
    assert page.hub.encoded < 2000
    seen = [next_packet(viewer)["frame"]]
    while seen[-1] != 1999:
        seen.append(next_packet(viewer)["frame"])
    assert seen == sorted(set(seen))


def test_no_viewer_gets_more_frames_a_second_than_allowed(make_page: PageMaker, stack: ExitStack) -> None:
    page = make_page(largest_fps=5.0)
    viewer = open_socket(stack, page, "/ws/view")
    next_text(viewer, "state")
    page.write(result(0))
    began = time.monotonic()
    for index in range(1, 4):
        assert next_packet(viewer)["frame"] == index - 1
        page.write(result(index))
    assert time.monotonic() - began >= 0.3  # three frames, of which the first comes at once


def test_a_viewer_can_turn_to_another_camera(page: WebPage, stack: ExitStack) -> None:
    page.write(result(1))
    page.write(result(2, camera="door"))
    viewer = open_socket(stack, page, "/ws/view")
    assert next_packet(viewer)["camera"] == "bench"
    viewer.send(json.dumps({"camera": "door"}))
    assert next_packet(viewer)["camera"] == "door"
    state = next_text(viewer, "state")
    assert (state["camera"], state["cameras"]) == ("door", ["bench", "door"])


def test_what_a_viewer_says_amiss_does_no_harm(page: WebPage, stack: ExitStack) -> None:
    viewer = open_socket(stack, page, "/ws/view")
    for message in ("", "{", "[]", '{"camera": 3}', '{"camera": "nowhere"}', b"\0\1", "shown" * 3):
        viewer.send(message)
    page.write(result(5))
    assert next_packet(viewer)["frame"] == 5


def test_a_new_viewer_is_told_the_last_minutes_and_events(page: WebPage, stack: ExitStack) -> None:
    alerts = Alerts(AlertMonitor(parse_rules(["blurred > 0.5"])), [page])
    for index in range(40):
        page.write(judged(alerts, result(index, timestamp=1000 + index / 4, blurred_fraction=index / 40)))
    viewer = open_socket(stack, page, "/ws/view")
    history = next_text(viewer, "history")
    assert history["timestamps"] == sorted(history["timestamps"])
    assert history["fractions"][0] < 0.1 < 0.9 < history["fractions"][-1]
    events = next_text(viewer, "events")["events"]
    assert [(event["state"], event["frame"]) for event in events] == [("on", 21)]


def test_too_many_viewers_are_turned_away(make_page: PageMaker, stack: ExitStack) -> None:
    from websockets.exceptions import ConnectionClosed

    page = make_page(largest_viewers=2)
    for _ in range(2):
        next_text(open_socket(stack, page, "/ws/view"), "state")
    third = open_socket(stack, page, "/ws/view")
    with pytest.raises(ConnectionClosed) as caught:
        third.recv(timeout=30)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1013


def test_viewers_that_leave_are_forgotten(page: WebPage) -> None:
    for _ in range(5):
        with connect(f"ws://127.0.0.1:{page.port}/ws/view") as socket:
            next_text(socket, "state")
    wait_for(lambda: not page.hub.viewers, "no viewer is left")
