import json
import math
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from br2net.errors import InputError
from br2net.live.alerts import AlertMonitor, Alerts, EventLog, parse_rule, parse_rules
from tests.live.alerts.conftest import EventMaker, ResultMaker, result_at


def edges(monitor: AlertMonitor, make_result: ResultMaker, values: list[float]) -> list[tuple[int, str]]:
    """Frames, ten a second, and states of the events that `values` of the blurred fraction make."""
    found = []
    for index, value in enumerate(values):
        found += [
            (event.frame, event.state) for event in monitor.update(make_result(index / 10, blurred_fraction=value))
        ]
    return found


def test_an_alert_goes_on_once_after_its_time_and_off_once(make_result: ResultMaker) -> None:
    monitor = AlertMonitor(parse_rules(["blurred > 0.6 for 500ms"]))
    values = [0.2] * 3 + [0.9] * 10 + [0.2] * 5
    assert edges(monitor, make_result, values) == [(8, "on"), (13, "off")]


def test_a_dip_starts_the_time_anew(make_result: ResultMaker) -> None:
    monitor = AlertMonitor(parse_rules(["blurred > 0.6 for 500ms"]))
    values = [0.9] * 5 + [0.5] + [0.9] * 5
    assert edges(monitor, make_result, values) == []


def test_a_value_that_trembles_around_the_threshold_gives_one_event(make_result: ResultMaker) -> None:
    monitor = AlertMonitor(parse_rules(["blurred > 0.6"]))
    values = [0.61, 0.59, 0.61, 0.58, 0.62, 0.551] * 5
    assert edges(monitor, make_result, values) == [(0, "on")]


def test_hysteresis_is_settable(make_result: ResultMaker) -> None:
    monitor = AlertMonitor(parse_rules(["blurred > 0.6 until 0.2"]))
    assert edges(monitor, make_result, [0.7, 0.5, 0.3, 0.21, 0.2]) == [(0, "on"), (4, "off")]


@pytest.mark.parametrize("operator", [">", ">=", "<", "<="])
def test_without_hysteresis_a_value_at_the_threshold_does_not_flap(make_result: ResultMaker, operator: str) -> None:
    monitor = AlertMonitor(parse_rules([f"blurred {operator} 0.5 until 0.5"]))
    assert len(edges(monitor, make_result, [0.5] * 10)) <= 1


def test_cameras_are_watched_apart(make_result: ResultMaker) -> None:
    monitor = AlertMonitor(parse_rules(["blurred > 0.6"]))
    assert [event.camera for event in monitor.update(make_result(camera="a", blurred_fraction=0.9))] == ["a"]
    assert monitor.update(make_result(camera="b", blurred_fraction=0.1)) == ()
    assert (monitor.active("a"), monitor.active("b")) == (("blurred > 0.6",), ())


def test_regions_and_sharpness_are_watched(make_result: ResultMaker) -> None:
    monitor = AlertMonitor(parse_rules(["blurred[left] > 0.6", "sharpness < 10"], ["left"]))
    monitor.update(make_result(0.0, regions={"left": 0.7}, sharpness=20.0))
    assert monitor.active("bench") == ("blurred[left] > 0.6",)
    monitor.update(make_result(0.1, regions={"left": 0.1}, sharpness=5.0))
    assert monitor.active("bench") == ("sharpness < 10",)


def test_the_sharpness_of_a_region_is_watched(make_result: ResultMaker) -> None:
    monitor = AlertMonitor(parse_rules(["sharpness[left] < 10"], ["left"]))
    monitor.update(make_result(0.0, sharpness=5.0, regions={"left": 0.5}, region_sharpness={"left": 20.0}))
    assert monitor.active("bench") == ()
    monitor.update(make_result(0.1, sharpness=50.0, regions={"left": 0.5}, region_sharpness={"left": 2.0}))
    assert monitor.active("bench") == ("sharpness[left] < 10",)


def test_a_result_without_the_region_is_refused(make_result: ResultMaker) -> None:
    with pytest.raises(InputError, match="'left'"):
        AlertMonitor(parse_rules(["blurred[left] > 0.6"], ["left"])).update(make_result())


def test_a_clock_set_back_does_not_make_an_alert_wait_for_hours(make_result: ResultMaker) -> None:
    monitor = AlertMonitor(parse_rules(["blurred > 0.6 for 1s"]))
    monitor.update(make_result(3600.0, blurred_fraction=0.9))
    monitor.update(make_result(0.0, blurred_fraction=0.9))
    assert [event.state for event in monitor.update(make_result(1.0, blurred_fraction=0.9))] == ["on"]


def test_a_sharpness_that_is_not_a_number_sets_nothing_off(make_result: ResultMaker) -> None:
    monitor = AlertMonitor(parse_rules(["sharpness < 10", "sharpness > 10"]))
    assert monitor.update(make_result(sharpness=math.nan)) == ()


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(0, 8))
def test_events_alternate_and_come_only_after_the_time(values: list[float], frames: int) -> None:
    monitor = AlertMonitor([parse_rule(f"blurred > 0.6 for {frames * 100}ms until 0.4")])
    state = "off"
    for index, value in enumerate(values):
        result = result_at(index / 10, blurred_fraction=value)
        for event in monitor.update(result):
            assert event.state != state
            state = event.state
            if state == "on":
                assert min(values[index - frames : index + 1]) > 0.6
            else:
                assert value <= 0.4
    if len(values) > frames and min(values[-frames - 1 :]) > 0.6:
        assert state == "on"


def test_alerts_that_are_on_are_told_and_events_go_to_the_file(make_result: ResultMaker, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "events.jsonl"
    alerts = Alerts(AlertMonitor(parse_rules(["blurred > 0.6"])), [EventLog(path)])
    on = alerts.judge(make_result(0.0, blurred_fraction=0.9))
    off = alerts.judge(make_result(2.5, blurred_fraction=0.1))
    assert (on, off) == (("blurred > 0.6",), ())
    lines = [json.loads(line) for line in path.read_text().splitlines()]  # before closing: readers follow the file
    alerts.close()
    assert [(line["type"], line["state"], line["camera"], line["frame"], line["value"]) for line in lines] == [
        ("alert", "on", "bench", 0, 0.9),
        ("alert", "off", "bench", 25, 0.1),
    ]
    assert lines[1]["duration_s"] == pytest.approx(2.5)
    assert datetime.fromisoformat(lines[1]["time"].replace("Z", "+00:00")).timestamp() == lines[1]["timestamp"]
    assert lines[0]["id"] != lines[1]["id"]


def test_a_full_disk_loses_events_counts_them_and_goes_on(make_event: EventMaker) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    full = EventLog(Path("/dev/full"))
    full.send(make_event(0))
    full.send(make_event(1))
    assert (full.counts.sent, full.counts.failed) == (0, 2)
    full.close()


def test_a_file_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        EventLog(tmp_path / "file" / "events.jsonl")
