"""Frames of folders, videos and live sources."""

import itertools
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from br2net.calibration import frames
from br2net.calibration.frames import read_sources
from br2net.errors import InputError

from .conftest import Frame


def video(path: Path, count: int) -> Path:
    """Frame n is grey of level 5 n."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    for index in range(count):
        writer.write(np.full((48, 64, 3), 5 * index, np.uint8))
    writer.release()
    return path


class FakeCamera:
    """A camera that gives frames for ever, 20 of them a second by the clock of the test, and fails to decode the third."""

    now = 0.0

    def __init__(self, *_: object) -> None:
        self.count = 0
        self.is_released = False

    def isOpened(self) -> bool:
        return True

    def grab(self) -> bool:
        FakeCamera.now += 0.05
        self.count += 1
        return self.count < 200

    def retrieve(self) -> tuple[bool, Frame | None]:
        return (False, None) if self.count == 3 else (True, np.full((8, 8, 3), self.count % 256, np.uint8))

    def release(self) -> None:
        self.is_released = True


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> FakeCamera:
    made = FakeCamera()
    FakeCamera.now = 0.0
    monkeypatch.setattr(frames.cv2, "VideoCapture", lambda *_: made)
    monkeypatch.setattr(frames.time, "monotonic", lambda: FakeCamera.now)
    return made


def test_a_video_gives_frames_at_equal_distances(tmp_path: Path) -> None:
    found = list(read_sources([str(video(tmp_path / "a.avi", 40))], None, 8, 0))
    levels = [round(float(item.frame.mean()) / 5) for item in found]
    assert [item.name for item in found] == [f"a.avi#{index}" for index in range(0, 40, 5)]
    assert levels == list(range(0, 40, 5))


def test_a_camera_gives_a_frame_each_half_second_and_is_released(camera: FakeCamera) -> None:
    found = list(read_sources(["0"], None, 5, 0))
    levels = [int(item.frame[0, 0, 0]) for item in found]
    assert len(found) == 5
    assert all(9 <= after - before <= 12 for before, after in itertools.pairwise(levels))
    assert camera.is_released


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


def test_a_source_that_cannot_be_opened_is_one_sentence() -> None:
    with pytest.raises(InputError, match=r"The source rtsp://127.0.0.1:1/none cannot be opened"):
        list(read_sources(["rtsp://127.0.0.1:1/none"], None, 5, 0))
