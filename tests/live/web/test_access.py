import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from br2net.errors import InputError
from br2net.live.web import PageInfo, WebOptions, WebPage
from br2net.live.web.options import is_local
from tests.live.web.conftest import TOKEN, FakeRecorder, PageMaker, ask, pages, result

PRIVATE = ["/", "/metrics", "/live.js", "/overlay.js", "/chart.js", "/uPlot.iife.min.js"]
TRAVERSALS = [
    "/../../etc/passwd",
    "/..%2f..%2fetc%2fpasswd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "//etc/passwd",
    "/live.js/../../options.py",
    "/static/../options.py",
    "/live.js%00.html",
    "/live.html",
    "/login.html",
    "/options.py",
    "/C:/Windows/win.ini",
    "/..\\..\\options.py",
    "/file:///etc/passwd",
]


@pytest.fixture(scope="module")
def guarded() -> Iterator[WebPage]:
    """A page with a token."""
    with pages() as make:
        page = make(PageInfo(("bench",), "mobile", "cpu", recorder=FakeRecorder()), token=TOKEN)
        page.write(result())
        yield page


@pytest.fixture(scope="module")
def local() -> Iterator[WebPage]:
    """A page for this machine alone, without one."""
    with pages() as make:
        page = make(PageInfo(("bench",), "mobile", "cpu", recorder=FakeRecorder()))
        page.write(result())
        yield page


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_that_others_reach_needs_a_token(host: str) -> None:
    with pytest.raises(InputError, match="it needs a token"):
        WebPage(PageInfo(("bench",), "mobile", "cpu"), WebOptions(host=host, port=0))


def test_with_a_token_any_address_may_be_served(make_page: PageMaker) -> None:
    page = make_page(host="0.0.0.0", token=TOKEN)
    assert ask(page, "/metrics").status == 401
    assert ask(page, "/metrics", Authorization=f"Bearer {TOKEN}").status == 200


@pytest.mark.parametrize(
    ("token", "says"), [("short", "must have 16"), ("", "must have 16"), ("spaces are not allowed", "-_")]
)
def test_a_token_that_is_not_safe_is_refused(token: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        WebOptions(token=token)


def test_only_loopback_addresses_count_as_local() -> None:
    assert [is_local(host) for host in ("127.0.0.1", "127.5.5.5", "localhost", "::1")] == [True] * 4
    assert [is_local(host) for host in ("0.0.0.0", "::", "192.0.2.7")] == [False] * 3
    with pytest.raises(InputError, match="must be an address of this machine"):
        is_local("no such host.invalid")


@pytest.mark.parametrize("path", PRIVATE)
def test_without_the_token_nothing_is_shown(guarded: WebPage, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Cookie": "br2net=x"}):
        answer = ask(guarded, path, **headers)
        assert answer.status == 401
        assert b"canvas" not in answer.body
        assert b"br2net_frames_total" not in answer.body
    assert ask(guarded, path, Authorization=f"Bearer {TOKEN}").status == 200


def test_without_the_token_nothing_is_recorded(guarded: WebPage) -> None:
    assert ask(guarded, "/api/recording", "POST", '{"on": true}').status == 401
    assert ask(guarded, "/api/recording", "POST", '{"on": true}', Authorization=f"Bearer {TOKEN}").status == 200


def test_without_the_token_no_websocket_opens(guarded: WebPage) -> None:
    url = f"ws://127.0.0.1:{guarded.port}/ws/view"
    with pytest.raises(InvalidStatus) as caught:
        connect(url)
    assert caught.value.response.status_code == 401
    with connect(url, additional_headers={"Authorization": f"Bearer {TOKEN}"}):
        pass


def test_the_login_gives_a_cookie_that_opens_the_page_and_does_not_hold_the_token(guarded: WebPage) -> None:
    assert ask(guarded, "/login", "POST", "token=wrong").status == 401
    answer = ask(guarded, "/login", "POST", f"token={TOKEN}")
    cookie = answer.headers["set-cookie"]
    assert answer.status == 303
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert ask(guarded, "/", Cookie=cookie.split(";")[0]).status == 200
    name, value = cookie.split(";")[0].split("=")
    assert ask(guarded, "/", Cookie=f"{name}={value[:-1]}").status == 401


def test_a_body_without_end_is_not_read(guarded: WebPage) -> None:
    assert ask(guarded, "/login", "POST", "token=" + "x" * 100_000).status == 401


def test_health_is_open_but_says_no_more_than_that(guarded: WebPage) -> None:
    assert ask(guarded, "/healthz").json == {"status": "ok"}
    assert "bench" in ask(guarded, "/healthz", Authorization=f"Bearer {TOKEN}").json["cameras"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "[::1"])
def test_a_name_of_the_web_that_points_here_is_refused(local: WebPage, host: str) -> None:
    for path in ("/", "/metrics", "/healthz"):
        assert ask(local, path, host=host).status == 403


@pytest.mark.parametrize("host", ["localhost:1234", "127.0.0.1", "[::1]:80", "LOCALHOST"])
def test_local_names_are_served(local: WebPage, host: str) -> None:
    assert ask(local, "/", host=host).status == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://[", "http://localhost"]
)
def test_a_page_of_another_origin_may_neither_watch_nor_record(make_page: PageMaker, origin: str) -> None:
    recorder = FakeRecorder()
    page = make_page(PageInfo(("bench",), "mobile", "cpu", recorder=recorder))
    assert ask(page, "/api/recording", "POST", '{"on": true}', Origin=origin).status == 403
    with pytest.raises(InvalidStatus) as caught:
        connect(f"ws://127.0.0.1:{page.port}/ws/view", origin=origin)  # type: ignore[arg-type]
    assert caught.value.response.status_code == 403
    assert recorder.calls == []


def test_its_own_page_may_watch_and_record(make_page: PageMaker) -> None:
    page = make_page(PageInfo(("bench",), "mobile", "cpu", recorder=FakeRecorder()))
    origin: Any = f"http://127.0.0.1:{page.port}"
    assert ask(page, "/api/recording", "POST", '{"on": true}', Origin=origin).status == 200
    with connect(f"ws://127.0.0.1:{page.port}/ws/view", origin=origin):
        pass


@pytest.mark.parametrize("path", TRAVERSALS)
def test_a_path_outside_of_what_there_is_is_not_found(local: WebPage, path: str) -> None:
    answer = ask(local, path)
    assert answer.status in (400, 404)
    assert b"root:" not in answer.body
    assert b"WebOptions" not in answer.body


def test_no_request_opens_a_file(local: WebPage) -> None:
    for path in (*PRIVATE, "/healthz", "/nothing"):  # imports made at the first use are over with
        ask(local, path)
    opened: list[str] = []
    watching = threading.Event()

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if watching.is_set() and event == "open" and threading.current_thread().name == "br2net-web":
            opened.append(str(arguments[0]))

    sys.addaudithook(note)
    watching.set()
    for path in (*PRIVATE, *TRAVERSALS, "/healthz", "/live.css", "/icon.svg"):
        ask(local, path)
    watching.clear()
    assert opened == []


@pytest.mark.parametrize("path", ["/", "/live.js", "/metrics", "/nothing", "/healthz"])
def test_every_answer_carries_the_headers_that_keep_a_browser_in_bounds(guarded: WebPage, path: str) -> None:
    for headers in ({}, {"Authorization": f"Bearer {TOKEN}"}):
        answer = ask(guarded, path, **headers)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers
