import json
from pathlib import Path

import pytest

from br2net.errors import InputError, SinkError
from br2net.live.sinks import JsonLinesSink
from tests.live.sinks.conftest import ResultMaker


def test_each_result_is_a_line_that_can_be_read_at_once(tmp_path: Path, make_result: ResultMaker) -> None:
    path = tmp_path / "new" / "x.jsonl"
    sink = JsonLinesSink(path)
    sink.write(make_result(index=3, timestamp=1700000000.25))
    line = json.loads(path.read_text())  # before it is closed
    assert line == {
        "frame": 3,
        "timestamp": 1700000000.25,
        "blurred_fraction": 0.5,
        "latency_ms": 12.35,
        "alert": None,
        "camera": "cam",
        "sharpness": 0.125,
    }
    sink.write(make_result(index=4, alerts=("blurred > 0.4", "ü"), regions={"face": 0.75}))
    sink.close()
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    assert [item["frame"] for item in lines] == [3, 4]
    assert lines[1]["alert"] == "blurred > 0.4; ü"
    assert lines[1]["regions"] == {"face": {"blurred_fraction": 0.75, "sharpness": 0.25}}


def test_a_full_disk_is_told_by_name(make_result: ResultMaker) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    sink = JsonLinesSink(Path("/dev/full"))
    with pytest.raises(SinkError, match=r"/dev/full.*No space left"):
        sink.write(make_result())
    sink.close()


def test_a_path_that_cannot_be_written_is_refused_before_the_first_frame(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Cannot write"):
        JsonLinesSink(tmp_path)
