"""The page in a real Chromium: what a person sees and does."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from br2net import BlurMap
from br2net.live.alerts import AlertMonitor, Alerts, parse_rules
from br2net.live.camera.camera import CameraStatistics
from br2net.live.pipeline.result import FrameResult
from br2net.live.web import PageInfo, WebPage
from tests.live.web.browser import Browser
from tests.live.web.conftest import LEVELS, TOKEN, FakeRecorder, PageMaker, judged, result

NewTab = Callable[[], Browser]
LEFT, MIDDLE, RIGHT = 1 / 12, 0.5, 11 / 12  # inside of the three bands, away from where they blend
GREY = (128, 128, 128)


@pytest.fixture
def tab(new_tab: NewTab, make_page: PageMaker) -> Iterator[Browser]:
    browser = new_tab()
    yield browser  # the page still serves when this goes on, since it was asked for first
    browser.run("1")  # what was said meanwhile arrives before this answer
    assert browser.problems == []  # no uncaught error, nothing refused by the page's own policy


def show(browser: Browser, page: WebPage, shown: FrameResult, **window: object) -> None:
    """Open the page and wait until the frame is on it."""
    page.write(shown)
    browser.open(page.url, **window)  # type: ignore[arg-type]
    browser.wait("document.querySelector('#blurred')?.textContent.endsWith('%')", "the first frame")


def tinted(shown: FrameResult, opacity: float) -> list[tuple[int, int, int]]:
    """RGB of the three bands as `BlurMap.overlay` makes them."""
    overlay = cv2.cvtColor(BlurMap(shown.map, 0.0).overlay(shown.frame, opacity), cv2.COLOR_BGR2RGB)
    return [tuple(int(v) for v in overlay[32, x]) for x in (8, 48, 88)]  # type: ignore[misc]


def bands(browser: Browser) -> list[tuple[int, int, int]]:
    return [browser.pixel(x, 0.5) for x in (LEFT, MIDDLE, RIGHT)]


def test_the_picture_is_the_overlay_and_the_opacity_slider_changes_it(tab: Browser, make_page: PageMaker) -> None:
    page, shown = make_page(), result()
    show(tab, page, shown)
    tab.press_key("#threshold", "Home")
    assert np.allclose(bands(tab), tinted(shown, 0.6), atol=4)
    tab.press_key("#opacity", "End")
    assert np.allclose(bands(tab), tinted(shown, 1.0), atol=4)
    tab.press_key("#opacity", "Home")
    assert np.allclose(bands(tab), GREY, atol=4)
    assert tab.run("document.querySelector('#opacity-value').textContent") == "0 %"


def test_the_threshold_slider_leaves_out_what_is_less_blurred(tab: Browser, make_page: PageMaker) -> None:
    page, shown = make_page(), result()
    show(tab, page, shown)
    sharp, half, blurred = tinted(shown, 0.6)
    assert LEVELS == (0.0, 0.4, 1.0)
    assert np.allclose(bands(tab), [sharp, GREY, blurred], atol=4)  # 0.5 at the start: 0.4 is below
    tab.press_key("#threshold", "ArrowLeft", 15)
    assert tab.run("document.querySelector('#threshold-value').textContent") == "0.35"
    assert np.allclose(bands(tab), [sharp, half, blurred], atol=4)


def test_one_may_look_at_what_is_in_focus_the_map_or_the_picture_alone(tab: Browser, make_page: PageMaker) -> None:
    show(tab, make_page(), result())
    tab.press_key("#opacity", "End")
    tab.click("[value=map]")
    assert np.allclose(bands(tab), [(0, 0, 0), (102, 102, 102), (255, 255, 255)], atol=4)
    tab.click("[value=off]")
    assert np.allclose(bands(tab), GREY, atol=4)
    tab.click("[value=sharp]")
    left, _, right = bands(tab)
    assert np.allclose(left, (255, 170, 20), atol=4)
    assert np.allclose(right, GREY, atol=4)


def test_new_frames_appear_and_figures_follow(tab: Browser, make_page: PageMaker) -> None:
    statistics = CameraStatistics(captured=1234, dropped=2, skipped=1, thinned=0, damaged=0, reconnects=1, stride=1)
    page = make_page(PageInfo(("bench",), "mobile", "openvino, cpu", statistics=lambda: {"bench": statistics}))
    show(tab, page, result())
    page.write(result(1, blurred_fraction=0.87, regions={"left": 0.4}, frame=np.full((64, 96, 3), 40, np.uint8)))
    tab.wait("document.querySelector('#blurred').textContent === '87%'")
    assert np.allclose(tab.pixel(LEFT, 0.5), (40, 40, 40), atol=4)
    tab.wait("document.querySelector('#latency').textContent === '30ms'")
    text = tab.run("document.body.innerText")
    for expected in ("bench", "mobile · openvino, cpu", "15.0 ms", "40 %", "12.5", "1 reconnect"):
        assert expected in text


def line_heights(browser: Browser) -> list[float]:
    """Where the chart's line is in its last columns: 0 at the bottom, 1 at the top; none where there is no line."""
    script = """(() => { const c = document.querySelector('#chart canvas'), r = c.width / c.clientWidth;
        const probe = document.createElement('canvas').getContext('2d');
        probe.fillStyle = getComputedStyle(c).getPropertyValue('--accent').trim(); probe.fillRect(0, 0, 1, 1);
        const want = probe.getImageData(0, 0, 1, 1).data;
        const inside = document.querySelector('#chart .u-over').getBoundingClientRect(), all = c.getBoundingClientRect();
        const top = (inside.top - all.top) * r, high = inside.height * r, right = (inside.right - all.left) * r, found = [];
        for (let x = Math.round(right) - 4 * r; x < Math.round(right) - r; x++) {
            const column = c.getContext('2d').getImageData(x, 0, 1, c.height).data;
            for (let y = 0; y < c.height; y++)
                if ([0, 1, 2].every(i => Math.abs(column[4 * y + i] - want[i]) < 12) && column[4 * y + 3] > 200)
                    found.push(1 - (y + .5 - top) / high);
        }
        return found; })()"""
    return list(browser.run(script))


def test_the_chart_follows_the_blurred_fraction(tab: Browser, make_page: PageMaker) -> None:
    page = make_page(largest_fps=1000.0)
    start = time.time()
    show(tab, page, result(blurred_fraction=0.2, timestamp=start))
    for height, first in ((0.2, 1), (0.9, 40)):
        for index in range(first, first + 39):  # twenty seconds, two frames a second
            page.write(result(index, timestamp=start + index / 2, blurred_fraction=height, sharpness=float(index)))
            tab.wait(f"document.querySelector('#sharpness').textContent === '{index}.0'")
        tab.wait("new Promise(done => requestAnimationFrame(() => done(true)))")
        found = line_heights(tab)
        assert found
        assert np.allclose(found, height, atol=0.05)


def test_the_chart_shows_the_minutes_before_the_page_was_opened(tab: Browser, make_page: PageMaker) -> None:
    page = make_page()
    for index in range(200):
        page.write(result(index, timestamp=1000 + index / 4, blurred_fraction=0.75))
    show(tab, page, result(200, timestamp=1050.0, blurred_fraction=0.75))
    assert np.allclose(line_heights(tab), 0.75, atol=0.05)


def test_the_record_button_starts_and_stops(tab: Browser, make_page: PageMaker) -> None:
    recorder = FakeRecorder()
    page = make_page(PageInfo(("bench",), "mobile", "cpu", recorder=recorder))
    show(tab, page, result())
    tab.wait("!document.querySelector('#record').hidden")
    tab.click("#record")
    tab.wait("document.querySelector('#record').innerText.trim() === 'Stop'")
    tab.wait("!document.querySelector('#rec').hidden && document.querySelector('#rec').innerText.includes('0:0')")
    tab.click("#record")
    tab.wait("document.querySelector('#record').innerText.trim() === 'Record'")
    assert recorder.calls == ["start", "stop"]


def test_a_recording_that_cannot_start_says_why(new_tab: NewTab, make_page: PageMaker) -> None:
    tab = new_tab()
    page = make_page(PageInfo(("bench",), "mobile", "cpu", recorder=FakeRecorder(full=True)))
    show(tab, page, result())
    tab.wait("!document.querySelector('#record').hidden")
    tab.click("#record")
    text = tab.wait("!document.querySelector('#toast').hidden && document.querySelector('#toast').innerText")
    assert text == "Cannot write clip.mp4: No space left on device."
    assert all("507" in problem for problem in tab.problems)  # the browser's own note of the refused request


def test_a_recording_that_ended_by_itself_says_why(tab: Browser, make_page: PageMaker) -> None:
    recorder = FakeRecorder(recording=Path("clip.mp4"))
    page = make_page(PageInfo(("bench",), "mobile", "cpu", recorder=recorder))
    show(tab, page, result())
    tab.wait("document.querySelector('#record').innerText.trim() === 'Stop'")
    recorder.recording, recorder.failure = None, "clip.mp4 ended: No space left on device."
    tab.wait("document.querySelector('#toast').innerText.includes('No space left')")
    tab.wait("document.querySelector('#record').innerText.trim() === 'Record'")


def test_without_a_recorder_there_is_no_button(tab: Browser, make_page: PageMaker) -> None:
    show(tab, make_page(), result())
    tab.wait("document.querySelector('#status').dataset.status === 'ok'")
    assert tab.run("document.querySelector('#record').hidden")


def test_the_picture_can_fill_the_screen(tab: Browser, make_page: PageMaker) -> None:
    show(tab, make_page(), result())
    tab.click("#full")
    tab.wait("document.fullscreenElement?.contains(document.querySelector('#view'))")
    tab.click("#full")
    tab.wait("document.fullscreenElement === null")


def test_alerts_are_listed_as_they_happen(tab: Browser, make_page: PageMaker) -> None:
    rules = parse_rules(["blurred > 0.6"])
    page = make_page(PageInfo(("bench",), "mobile", "cpu", rules))
    alerts = Alerts(AlertMonitor(rules), [page])
    show(tab, page, judged(alerts, result()))
    tab.wait("document.querySelector('#rules').innerText.includes('off')")
    page.write(judged(alerts, result(1, blurred_fraction=0.9)))
    tab.wait("document.querySelector('#rules .state.on')")
    tab.wait("document.querySelector('#active').innerText === 'blurred > 0.6'")
    page.write(judged(alerts, result(2, blurred_fraction=0.1)))
    tab.wait("document.querySelectorAll('#events li').length === 2")
    assert tab.run("[...document.querySelectorAll('#events li')].map(e => e.className)") == ["off", "on"]
    tab.wait("document.querySelector('#active').hidden")


def test_what_is_named_like_markup_stays_text(tab: Browser, make_page: PageMaker) -> None:
    name = "<img src=x onerror=alert(1)>"
    rules = parse_rules([f"blurred[{name}] > 0.1"], [name])
    page = make_page(PageInfo((name,), name, name, rules))
    alerts = Alerts(AlertMonitor(rules), [page])
    show(tab, page, judged(alerts, result(camera=name, regions={name: 0.9})))
    tab.wait("document.querySelector('#events li')")
    assert tab.run("document.querySelectorAll('img').length") == 1  # the logo
    assert name in tab.run("document.querySelector('#regions').innerText")


def test_another_camera_can_be_chosen(tab: Browser, make_page: PageMaker) -> None:
    page = make_page(PageInfo(("bench", "door"), "mobile", "cpu"))
    page.write(result(camera="door", blurred_fraction=0.11))
    show(tab, page, result(blurred_fraction=0.77))
    tab.wait("document.querySelector('#cameras').options.length === 2")
    tab.run("(e => { e.value = 'door'; e.dispatchEvent(new Event('change')); })(document.querySelector('#cameras'))")
    tab.wait("document.querySelector('#blurred').textContent === '11%'")
    assert tab.wait("document.title.startsWith('door')")


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark_follow_the_system_until_chosen(tab: Browser, make_page: PageMaker, dark: bool) -> None:
    show(tab, make_page(), result(), dark=dark)
    lightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number).reduce((a, b) => a + b) / 3"
    before = tab.run(lightness)
    assert (before < 60) if dark else (before > 200)
    tab.click("#theme")
    after = tab.run(lightness)
    assert (after > 200) if dark else (after < 60)


@pytest.mark.parametrize(("width", "height"), [(390, 844), (320, 568), (844, 390)])
def test_on_a_phone_nothing_is_cut_off_and_fingers_hit(
    tab: Browser, make_page: PageMaker, width: int, height: int
) -> None:
    rules = parse_rules(
        ["blurred[the region with a rather long name] > 0.6 for 500ms until 0.3"],
        ["the region with a rather long name"],
    )
    page = make_page(
        PageInfo(
            ("the camera with a rather long name at the back door",), "mobile", "cpu", rules, recorder=FakeRecorder()
        )
    )
    camera = "the camera with a rather long name at the back door"
    shown = result(camera=camera, regions={"the region with a rather long name": 0.5}, alerts=(rules[0].text,))
    show(tab, page, shown, width=width, height=height, phone=True)
    tab.wait("!document.querySelector('#record').hidden")
    assert tab.run("document.documentElement.scrollWidth") <= width
    outside = f"""[...document.querySelectorAll('body *')].filter(e => {{ const r = e.getBoundingClientRect();
        return r.width && (r.left < -1 || r.right > {width} + 1) }}).map(e => e.outerHTML.slice(0, 80))"""
    assert tab.run(outside) == []
    small = """[...document.querySelectorAll('button, input[type=range]')].filter(e => {
        const r = e.getBoundingClientRect(); return r.width && (r.width < 38 || r.height < 28) }).map(e => e.id)"""
    assert tab.run(small) == []


def test_the_page_comes_back_after_the_program_was_restarted(new_tab: NewTab, make_page: PageMaker) -> None:
    tab = new_tab()
    page = make_page()
    show(tab, page, result(blurred_fraction=0.1))
    page.close()
    tab.wait("document.querySelector('#status').dataset.status === 'lost'")
    again = make_page(port=page.port)
    again.write(result(blurred_fraction=0.65))
    tab.wait("document.querySelector('#blurred').textContent === '65%'")
    tab.wait("document.querySelector('#status').dataset.status === 'ok'")


def test_a_restart_with_another_token_asks_for_it(new_tab: NewTab, make_page: PageMaker) -> None:
    tab = new_tab()
    page = make_page()
    show(tab, page, result())
    page.close()
    make_page(port=page.port, token=TOKEN)
    tab.wait("document.querySelector('[name=token]')")


def test_a_source_without_frames_is_told(tab: Browser, make_page: PageMaker) -> None:
    page = make_page(stale_after_s=2.0)
    tab.open(page.url)
    tab.wait("document.querySelector('#status')?.dataset.status === 'waiting'")
    page.write(result())
    tab.wait("document.querySelector('#notice').hidden")
    tab.wait("document.querySelector('#status').dataset.status === 'ok'")
    tab.wait("document.querySelector('#status').dataset.status === 'stalled'")
    assert tab.run("document.querySelector('#notice').innerText") == "No frames arrive from the source"


def test_a_page_that_is_hidden_asks_for_no_frames(tab: Browser, make_page: PageMaker) -> None:
    page = make_page(largest_fps=1000.0)
    show(tab, page, result())
    tab.run("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    for index in range(1, 30):
        page.write(result(index))
        time.sleep(0.005)
    tab.wait("document.querySelector('#latency').textContent !== '–'")
    assert page.hub.sent <= 4
    tab.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    page.write(result(30, blurred_fraction=0.42))
    tab.wait("document.querySelector('#blurred').textContent === '42%'")


def test_the_token_opens_the_page(new_tab: NewTab, make_page: PageMaker) -> None:
    tab = new_tab()
    page = make_page(token=TOKEN)
    page.write(result())
    tab.open(page.url)
    tab.wait("document.querySelector('[name=token]') && !document.querySelector('.wrong')")
    tab.type("[name=token]", "wrong")
    tab.click("button")
    tab.wait("document.querySelector('.wrong')")
    tab.type("[name=token]", TOKEN)
    tab.click("button")
    tab.wait("document.querySelector('#blurred')?.textContent === '33%'")
    assert TOKEN not in tab.run("document.cookie + location.href + document.documentElement.outerHTML")
    assert tab.run("document.cookie") == ""
    assert all("401" in problem for problem in tab.problems)
