from pathlib import Path

import cv2
import pytest

from br2net.errors import SinkError
from br2net.live.sinks import AlertImages
from br2net.runtime.postprocessing import overlay
from tests.live.sinks.conftest import ResultMaker


def test_an_alert_gives_one_picture_when_it_comes_on_and_another_when_it_comes_again(
    tmp_path: Path, make_result: ResultMaker
) -> None:
    sink = AlertImages(tmp_path / "alerts")
    for index, alerts in enumerate([(), ("blurred > 0.6",), ("blurred > 0.6",), (), ("blurred > 0.6", "b/../c")]):
        sink.write(make_result(index=index, alerts=alerts))
    sink.close()
    names = sorted(path.name for path in (tmp_path / "alerts").iterdir())
    assert names == ["cam-000001-blurred_0.6.png", "cam-000004-b_.._c.png", "cam-000004-blurred_0.6.png"]
    result = make_result(index=1)
    picture = cv2.imread(str(tmp_path / "alerts" / names[0]))
    assert picture is not None and (picture == overlay(result.frame, result.map)).all()


def test_cameras_have_alerts_of_their_own(tmp_path: Path, make_result: ResultMaker) -> None:
    sink = AlertImages(tmp_path)
    for camera in ("a", "b", "a"):
        sink.write(make_result(camera=camera, alerts=("dark",)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-000000-dark.png", "b-000000-dark.png"]


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path: Path, make_result: ResultMaker) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="no more pictures"):
        AlertImages(tmp_path / "file").write(make_result(alerts=("dark",)))
