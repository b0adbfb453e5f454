"""A page on a free port, results made up for it, and a Chromium to look at it."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from br2net.errors import SinkError
from br2net.live.alerts import Alerts
from br2net.live.pipeline.result import FrameResult, StageTimes
from br2net.live.web import PageInfo, WebOptions, WebPage
from tests.live.results import frame_result
from tests.live.web.browser import Browser, chromium, find_chromium

PageMaker = Callable[..., WebPage]
TOKEN = "correct-horse-battery"
LEVELS = (0.0, 0.4, 1.0)  # of the map: left, middle, right third


@dataclass
class FakeRecorder:
    """Notes what it was told; refuses while `full`."""

    recording: Path | None = None
    failure: str | None = None
    full: bool = False
    calls: list[str] = field(default_factory=list)

    def start(self) -> Path:
        if self.full:
            raise SinkError("Cannot write clip.mp4: No space left on device.")
        self.calls.append("start")
        self.recording = Path("clips/clip.mp4")
        return self.recording

    def stop(self) -> Path | None:
        self.calls.append("stop")
        done, self.recording = self.recording, None
        return done


def result(index: int = 0, camera: str = "bench", **fields: Any) -> FrameResult:
    """A grey frame, 96x64, whose map has three vertical bands of the given `LEVELS`."""
    bands = np.repeat(np.float32(LEVELS), 32)[None].repeat(64, axis=0)
    values: dict[str, Any] = {
        "frame": np.full((64, 96, 3), 128, np.uint8),
        "map": bands,
        "timestamp": time.time(),
        "blurred_fraction": 1 / 3,
        "sharpness": 12.5,
        "latency_ms": 30.0,
        "stages": StageTimes(2.0, 3.0, 15.0, 4.0),
    }
    return frame_result(camera=camera, index=index, **(values | fields))


def judged(alerts: Alerts, shown: FrameResult) -> FrameResult:
    """The result with its alerts, as the pipeline fills them in."""
    return replace(shown, alerts=alerts.judge(shown))


@contextmanager
def pages() -> Iterator[PageMaker]:
    """Makes pages on free ports, and closes them at the end."""
    pages: list[WebPage] = []

    def make(info: PageInfo | None = None, **options: Any) -> WebPage:
        info = info or PageInfo(("bench",), "mobile", "openvino, cpu")
        page = WebPage(info, WebOptions(**({"port": 0} | options)))
        pages.append(page)
        return page

    try:
        yield make
    finally:
        for page in pages:
            page.close()


@pytest.fixture
def make_page() -> Iterator[PageMaker]:
    """Makes pages for one test."""
    with pages() as make:
        yield make


@dataclass(frozen=True)
class Answer:
    """Status, headers and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(page: WebPage, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
    """One request, its path sent as it is; `x_y` in `headers` is `x-y`."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20)
    try:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.putrequest(method, path, skip_host="host" in sent)
        if body is not None:
            sent["Content-Length"] = str(len(body))
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body.encode() if body is not None else None)
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Callable[[], Browser]]:
    """A real headless Chromium."""
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium or Chrome is installed, and BR2NET_CHROMIUM names none")
    with chromium(program) as new_page:
        yield new_page


@pytest.fixture
def new_tab(browser: Callable[[], Browser]) -> Iterator[Callable[[], Browser]]:
    """Opens pages, each with cookies of its own, and closes them at the end of the test."""
    tabs: list[Browser] = []

    def open_tab() -> Browser:
        tabs.append(browser())
        return tabs[-1]

    yield open_tab
    for tab in tabs:
        tab.close()


def decode(packet: bytes) -> tuple[dict[str, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Record, frame and map of a packet, by OpenCV and the layout as documented."""
    sizes = np.frombuffer(packet, "<u4", 2)
    record = json.loads(packet[8 : 8 + sizes[0]])
    frame = cv2.imdecode(np.frombuffer(packet, np.uint8, sizes[1], 8 + int(sizes[0])), cv2.IMREAD_COLOR)
    grey = cv2.imdecode(np.frombuffer(packet, np.uint8, -1, 8 + int(sizes.sum())), cv2.IMREAD_GRAYSCALE)
    assert frame is not None
    assert grey is not None
    return record, frame, grey
