import json
import socket
import threading
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect

from br2net.errors import InputError
from br2net.live.alerts import AlertEvent, AlertMonitor, Alerts, DeliveryCounts, parse_rules
from br2net.live.camera.camera import CameraStatistics
from br2net.live.web import PageInfo, WebOptions, WebPage
from tests.live.web.conftest import FakeRecorder, PageMaker, ask, judged, result


class Target:
    """Stands for a webhook of which some events were lost."""

    name = "webhook"
    counts = DeliveryCounts(sent=3, failed=1, dropped=2, waiting=4)

    def send(self, event: AlertEvent) -> None:
        pass

    def close(self) -> None:
        pass


def figures(page: WebPage) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """All samples by name and labels, as Prometheus' own parser reads them."""
    families = text_string_to_metric_families(ask(page, "/metrics").body.decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_metrics_are_what_went_through(make_page: PageMaker) -> None:
    rules = parse_rules(["blurred > 0.5"])
    recorder = FakeRecorder(recording=Path("clip.mp4"))
    statistics = CameraStatistics(captured=9, dropped=2, skipped=0, thinned=0, damaged=1, reconnects=3, stride=1)
    info = PageInfo(("bench",), "mobile", "openvino, cpu", rules, [Target()], recorder, lambda: {"bench": statistics})
    page = make_page(info)
    alerts = Alerts(AlertMonitor(rules), [page])
    for index, fraction in enumerate((0.2, 0.9, 0.1, 0.8)):
        page.write(judged(alerts, result(index, blurred_fraction=fraction, regions={"left": 0.25}, latency_ms=40.0)))
    found = figures(page)
    camera = ("camera", "bench")
    alert = ("alert", "blurred > 0.5")
    assert found["br2net_frames_total", (camera,)] == 4
    assert found["br2net_blurred_fraction", (camera,)] == 0.8
    assert found["br2net_region_blurred_fraction", (camera, ("region", "left"))] == 0.25
    assert found["br2net_latency_seconds_count", (camera,)] == 4
    assert found["br2net_latency_seconds_sum", (camera,)] == pytest.approx(0.16)
    assert found["br2net_latency_seconds_bucket", (camera, ("le", "0.03"))] == 0
    assert found["br2net_latency_seconds_bucket", (camera, ("le", "0.05"))] == 4
    assert found["br2net_stage_seconds_sum", (camera, ("stage", "inference"))] == pytest.approx(0.06)
    assert found["br2net_alert_on", (alert, camera)] == 1
    assert found["br2net_alert_events_total", (alert, camera, ("state", "on"))] == 2
    assert found["br2net_alert_events_total", (alert, camera, ("state", "off"))] == 1
    assert found["br2net_delivered_events_total", (("fate", "dropped"), ("target", "webhook"))] == 2
    assert found["br2net_waiting_events", (("target", "webhook"),)] == 4
    assert found["br2net_source_frames_total", (camera, ("fate", "captured"))] == 9
    assert found["br2net_source_reconnects_total", (camera,)] == 3
    assert found["br2net_recording", ()] == 1
    assert found["br2net_viewers", ()] == 0


def test_names_with_quotes_and_line_breaks_do_not_break_the_metrics(make_page: PageMaker) -> None:
    name = 'front "door"\n\\x'
    page = make_page(PageInfo((name,), "mobile", "cpu"))
    page.write(result(camera=name))
    assert figures(page)["br2net_frames_total", (("camera", name),)] == 1


def test_health_is_bad_until_the_first_frame_and_when_frames_stop(make_page: PageMaker) -> None:
    page = make_page(stale_after_s=0.2)
    answer = ask(page, "/healthz")
    assert (answer.status, answer.json["status"]) == (503, "waiting")
    page.write(result())
    assert (ask(page, "/healthz").status, ask(page, "/healthz").json["status"]) == (200, "ok")
    waited = threading.Event()
    waited.wait(0.3)
    answer = ask(page, "/healthz")
    assert (answer.status, answer.json["status"]) == (503, "stalled")
    assert answer.json["cameras"]["bench"]["seconds_since_frame"] > 0.2


def test_one_camera_that_stops_makes_the_health_bad(make_page: PageMaker) -> None:
    page = make_page(PageInfo(("bench", "door"), "mobile", "cpu"))
    page.write(result())
    answer = ask(page, "/healthz").json
    assert answer["status"] == "waiting"
    assert {name: item["status"] for name, item in answer["cameras"].items()} == {"bench": "ok", "door": "waiting"}


def test_recording_starts_and_stops_once(make_page: PageMaker) -> None:
    recorder = FakeRecorder()
    page = make_page(PageInfo(("bench",), "mobile", "cpu", recorder=recorder))
    for on in (True, True, False, False):
        assert ask(page, "/api/recording", "POST", json.dumps({"on": on})).json == {"on": on}
    assert recorder.calls == ["start", "stop"]


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"on": 1}', '{"on": "yes"}', "x" * 100_000])
def test_a_body_that_is_none_is_refused(make_page: PageMaker, body: str) -> None:
    recorder = FakeRecorder()
    page = make_page(PageInfo(("bench",), "mobile", "cpu", recorder=recorder))
    assert ask(page, "/api/recording", "POST", body).status == 400
    assert recorder.calls == []


def test_a_full_disk_is_told_in_one_sentence(make_page: PageMaker) -> None:
    page = make_page(PageInfo(("bench",), "mobile", "cpu", recorder=FakeRecorder(full=True)))
    answer = ask(page, "/api/recording", "POST", '{"on": true}')
    assert (answer.status, answer.json) == (507, {"error": "Cannot write clip.mp4: No space left on device."})


def test_without_a_recorder_recording_is_refused(make_page: PageMaker) -> None:
    assert ask(make_page(), "/api/recording", "POST", '{"on": true}').status == 409


def test_a_port_that_is_taken_is_told_in_one_sentence(make_page: PageMaker) -> None:
    page = make_page()
    with pytest.raises(InputError, match=f"Cannot serve at 127.0.0.1, port {page.port}: .*; choose another"):
        WebPage(PageInfo(("bench",), "mobile", "cpu"), WebOptions(port=page.port))


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="between 0 and 65535, got 70000"):
        WebOptions(port=70000)


def test_closing_ends_viewers_and_threads_and_frees_the_port(make_page: PageMaker) -> None:
    page = make_page()
    page.write(result())
    with connect(f"ws://127.0.0.1:{page.port}/ws/view") as viewer:
        viewer.recv(timeout=30)
        page.close()
        page.close()
        page.write(result(1))  # a frame on its way does no harm
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("br2net-web")]
    with socket.create_server(("127.0.0.1", page.port)):
        pass
