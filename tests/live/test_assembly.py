import json
import urllib.request
from pathlib import Path

import pytest

from br2net.errors import InputError
from br2net.live.assembly import AlertOptions, SinkOptions, check_outputs, open_sinks, opened_alerts
from br2net.live.camera import Camera, make_cameras
from br2net.live.pipeline import FrameResult, Pipeline, PipelineOptions, parse_region
from br2net.live.sinks import JsonLinesSink
from br2net.live.web import WebOptions, WebPage
from tests.fake_backend import FakeBackend
from tests.live.pipeline.conftest import FolderMaker, make_folder

__all__ = ["make_folder"]  # a fixture

RULE = "blurred[left] > 0.5"
LEFT = parse_region("left=0,0,0.5,1")


def test_cameras_alerts_and_sinks_are_put_together_from_options(make_folder: FolderMaker, tmp_path: Path) -> None:
    events, lines, pictures = tmp_path / "events.jsonl", tmp_path / "lines.jsonl", tmp_path / "pictures"
    page = WebOptions(port=0)
    options = SinkOptions(False, tmp_path / "x.mp4", lines, pictures, page, tmp_path)
    cameras = make_cameras([make_folder(10, 200, 10)])
    answers: list[int] = []

    class Visitor:
        def __init__(self, url: str) -> None:
            self.url = url

        def write(self, result: FrameResult) -> None:
            with urllib.request.urlopen(f"{self.url}healthz", timeout=20) as answer:
                answers.append(answer.status)

        def close(self) -> None:
            pass

    with opened_alerts(AlertOptions((RULE,), events), [LEFT]) as alerts:
        pipeline = Pipeline(cameras, FakeBackend(), PipelineOptions(regions=(LEFT,), alerts=alerts))
        sinks = open_sinks(options, pipeline, alerts=alerts)
        (served,) = (sink for sink in sinks if isinstance(sink, WebPage))
        summary = pipeline.run([*sinks, Visitor(served.url)])
    cameras[0].close()
    assert summary.frames == 3 and answers == [200, 200, 200]
    written = [json.loads(line) for line in events.read_text().splitlines()]
    assert [(item["state"], item["frame"]) for item in written] == [("on", 1), ("off", 2)]
    assert [json.loads(line)["alert"] for line in lines.read_text().splitlines()] == [None, RULE, None]
    assert len(list(pictures.iterdir())) == 1 and (tmp_path / "x.mp4").stat().st_size > 0


def test_without_rules_there_are_no_alerts() -> None:
    with opened_alerts(AlertOptions()) as alerts:
        assert alerts is None


def test_a_sink_that_cannot_be_opened_closes_those_before_it(
    make_folder: FolderMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[JsonLinesSink] = []
    monkeypatch.setattr(JsonLinesSink, "close", lambda sink: closed.append(sink))
    options = SinkOptions(jsonl=tmp_path / "x.jsonl", page=WebOptions(host="no.such.host.invalid", token="0" * 16))
    pipeline = Pipeline([Camera(make_folder(10))], FakeBackend())
    with pytest.raises(InputError, match="Cannot serve"):
        open_sinks(options, pipeline)
    assert len(closed) == 1


@pytest.mark.parametrize("target", [{"events": Path("x")}, {"webhook": "http://x"}, {"mqtt": "mqtt://x"}])
def test_a_target_without_a_rule_is_refused(target: dict[str, object]) -> None:
    with pytest.raises(InputError, match="needs an alert"):
        AlertOptions(**target)  # type: ignore[arg-type]


def test_a_page_open_to_others_needs_a_token() -> None:
    with pytest.raises(InputError, match="token"):
        SinkOptions(page=WebOptions(host="0.0.0.0"))


def test_outputs_are_neither_sources_nor_the_same_file(tmp_path: Path) -> None:
    source, same = tmp_path / "video.mp4", tmp_path / "same"
    source.touch()
    with pytest.raises(InputError, match="is a source"):
        check_outputs([str(source)], SinkOptions(record=tmp_path / "." / "video.mp4"), AlertOptions())
    with pytest.raises(InputError, match="two outputs"):
        check_outputs(["0"], SinkOptions(jsonl=same), AlertOptions((RULE,), same))
    with pytest.raises(InputError, match="name a folder"):
        check_outputs(["0"], SinkOptions(alert_images=source), AlertOptions())
    check_outputs(["0"], SinkOptions(recordings=source), AlertOptions())  # without a page nothing is written there
