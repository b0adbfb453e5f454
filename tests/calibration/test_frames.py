"""Frames of folders, videos and live sources."""

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from br2net.calibration import frames
from br2net.calibration.frames import read_sources
from br2net.errors import InputError
from br2net.live.camera import CapturedFrame


def video(path: Path, count: int) -> Path:
    """Frame n is grey of level 5 n."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    for index in range(count):
        writer.write(np.full((48, 64, 3), 5 * index, np.uint8))
    writer.release()
    return path


class FakeCamera:
    """A camera that gives 200 frames, 20 of them a second by the clock of the test."""

    now = 0.0
    name = "the camera"
    is_closed = False

    def __enter__(self) -> "FakeCamera":
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closed = True

    def __iter__(self) -> Iterator[CapturedFrame]:
        for index in range(200):
            self.now += 0.05
            yield CapturedFrame(self.name, index, self.now, np.full((8, 8, 3), index, np.uint8), self.now, 0.0)


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> FakeCamera:
    made = FakeCamera()
    monkeypatch.setattr(frames, "Camera", lambda *_: made)
    monkeypatch.setattr(frames.time, "monotonic", lambda: made.now)
    return made


def test_a_video_gives_frames_at_equal_distances(tmp_path: Path) -> None:
    found = list(read_sources([str(video(tmp_path / "a.avi", 40))], None, 8, 0))
    levels = [round(float(item.frame.mean()) / 5) for item in found]
    assert [item.name for item in found] == [f"a.avi#{index}" for index in range(0, 40, 5)]
    assert levels == list(range(0, 40, 5))


def test_a_camera_gives_a_frame_each_half_second_and_is_closed(camera: FakeCamera) -> None:
    found = list(read_sources(["0"], None, 5, 0))
    levels = [int(item.frame[0, 0, 0]) for item in found]
    assert len(found) == 5
    assert all(9 <= after - before <= 12 for before, after in itertools.pairwise(levels))
    assert camera.is_closed
    assert [item.name for item in found][:2] == ["the camera#0", f"the camera#{levels[1]}"]


def test_a_camera_that_ends_early_is_said_and_what_came_is_taken(
    camera: FakeCamera, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = list(read_sources(["rtsp://camera/stream"], None, 100, 0))
    assert 15 <= len(found) <= 21
    assert f"ended after {len(found)} frames" in caplog.text


def test_a_folder_gives_the_split_and_of_too_many_a_draw_that_the_seed_decides(photo_folder: Path) -> None:
    split = {f"{index:02}" for index in range(20)}
    draws = [[item.name for item in read_sources([str(photo_folder)], split, 6, seed)] for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert all(len(draw) == 6 and {Path(name).stem for name in draw} <= split for draw in draws)


def test_an_image_that_cannot_be_read_is_left_out_and_said(
    photo_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (photo_folder / "05.png").write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        found = list(read_sources([str(photo_folder)], None, 100, 0))
    assert len(found) == 29
    assert "1 of 30 images cannot be read" in caplog.text


def test_a_camera_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(InputError, match="There is no camera at /dev/video97"):
        list(read_sources(["97"], None, 5, 0))


def test_a_file_that_is_no_video_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"x\.mp4 is damaged, or not a video that OpenCV can read"):
        list(read_sources([str(tmp_path / "x.mp4")], None, 5, 0))
