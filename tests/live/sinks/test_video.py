import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from br2net.errors import InputError, SinkError
from br2net.live.sinks import Drawing, Recorder, VideoSink
from br2net.live.sinks.video_file import VideoFile
from tests.live.sinks.conftest import ResultMaker

PLAIN = Drawing(opacity=0.0)


def read_video(path: Path) -> list[NDArray[np.uint8]]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        good, frame = capture.read()
        if not good:
            return frames
        frames.append(np.asarray(frame, np.uint8))


def read_levels(path: Path) -> list[int]:
    """Brightness of each frame, to the nearest ten."""
    return [round(float(frame.mean()), -1) for frame in read_video(path)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_recording_holds_each_frame_once_at_its_rate(tmp_path: Path, make_result: ResultMaker, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    sink = VideoSink(path, PLAIN, lambda camera: 20.0)
    levels = [50, 100, 150, 200]
    for index, level in enumerate(levels):
        sink.write(make_result(index, index / 20.0, level))
    assert not path.exists()
    sink.close()
    assert read_levels(path) == levels
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == pytest.approx(20.0)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_a_recording_holds_the_overlay(tmp_path: Path, make_result: ResultMaker) -> None:
    sink = VideoSink(tmp_path / "x.mp4")
    result = make_result(level=120)
    sink.write(result)
    sink.close()
    (frame,) = read_video(tmp_path / "x.mp4")
    assert np.abs(frame[:, 56:].astype(int) - 120).mean() < 3.0  # in focus: as it was
    assert frame[:, :40, 0].mean() > frame[:, :40, 2].mean() + 40  # blurred: blue


def test_frames_that_are_missing_are_filled_so_that_time_is_kept(tmp_path: Path, make_result: ResultMaker) -> None:
    sink = VideoSink(tmp_path / "x.mp4", PLAIN, lambda camera: 10.0)
    for timestamp, level in ((0.0, 50), (0.1, 100), (0.5, 150), (0.6, 200)):
        sink.write(make_result(timestamp=timestamp, level=level))
    sink.close()
    assert read_levels(tmp_path / "x.mp4") == [50, 100, 150, 150, 150, 150, 200]


def test_frames_that_come_too_fast_are_left_out_so_that_time_is_kept(tmp_path: Path, make_result: ResultMaker) -> None:
    sink = VideoSink(tmp_path / "x.mp4", PLAIN, lambda camera: 10.0)
    for index in range(100):
        sink.write(make_result(timestamp=index / 50.0, level=100))
    sink.close()
    assert 20 <= len(read_video(tmp_path / "x.mp4")) <= 22


def test_times_that_jitter_neither_repeat_nor_leave_out(tmp_path: Path, make_result: ResultMaker) -> None:
    sink = VideoSink(tmp_path / "x.mp4", PLAIN, lambda camera: 25.0)
    jitter = np.random.default_rng(0).uniform(-0.015, 0.015, 60)
    jitter[0] = 0.0
    for index in range(60):
        sink.write(make_result(timestamp=index / 25.0 + float(jitter[index]), level=100))
    sink.close()
    assert len(read_video(tmp_path / "x.mp4")) == 60


def test_the_time_in_which_a_camera_was_away_is_cut_out(tmp_path: Path, make_result: ResultMaker) -> None:
    sink = VideoSink(tmp_path / "x.mp4", PLAIN, lambda camera: 10.0)
    for timestamp in (0.0, 0.1, 3600.0, 3600.1, 10.0):  # and a clock that was set back
        sink.write(make_result(timestamp=timestamp, level=100))
    sink.close()
    assert len(read_video(tmp_path / "x.mp4")) == 5


def test_frames_of_another_size_are_fitted_into_the_first_ones(tmp_path: Path, make_result: ResultMaker) -> None:
    sink = VideoSink(tmp_path / "x.mp4", PLAIN, lambda camera: 10.0)
    sink.write(make_result(size=(97, 65), level=200))
    sink.write(make_result(timestamp=0.1, size=(64, 128), level=200))
    sink.close()
    first, second = read_video(tmp_path / "x.mp4")
    assert first.shape == second.shape == (64, 96, 3)
    assert second[:, 40:56].mean() > 180 and second[:, :24].mean() < 30  # bars left and right


def test_each_camera_has_a_file_of_its_own(tmp_path: Path, make_result: ResultMaker) -> None:
    sink = VideoSink(tmp_path / "x.mp4", PLAIN)
    for camera, level in (("a", 50), ("b", 200)):
        sink.write(make_result(camera=camera, level=level))
    sink.close()
    assert (read_levels(tmp_path / "x.mp4"), read_levels(tmp_path / "x-2.mp4")) == ([50], [200])


@pytest.mark.parametrize("name", ["x.gif", "x", "folder.mp4"])
def test_a_path_that_is_no_video_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(InputError):
        VideoSink(tmp_path / name)


def test_a_recorder_writes_between_start_and_stop(tmp_path: Path, make_result: ResultMaker) -> None:
    recorder = Recorder(tmp_path, PLAIN, lambda camera: 10.0)
    recorder.write(make_result(level=50))
    path = recorder.start()
    assert recorder.start() == path == recorder.recording
    for index, level in enumerate((100, 150)):
        recorder.write(make_result(timestamp=index / 10.0, level=level))
    assert recorder.stop() == path and recorder.recording is None and recorder.stop() is None
    recorder.write(make_result(level=200))
    assert read_levels(path) == [100, 150]
    second = recorder.start()
    recorder.write(make_result(level=200))
    recorder.close()
    assert second != path and read_levels(second) == [200]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of six megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small file system needs rights that are not there")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_ends_the_recording_which_stays_playable(tiny_disk: Path) -> None:
    file = VideoFile(tiny_disk / "x.mp4", 25.0, 320, 240)
    rng = np.random.default_rng(0)
    written = 0
    with pytest.raises(SinkError, match="full"):
        for index in range(2000):
            file.write(rng.integers(0, 256, (240, 320, 3), dtype=np.uint8), index / 25.0)
            written += 1
    file.close()
    assert len(read_video(tiny_disk / "x.mp4")) == written > 0


def test_a_video_whose_index_was_not_written_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = cv2.VideoWriter

    class Cut:
        """A writer whose file ends before its index, as on a disk that is full at that moment."""

        fourcc = staticmethod(real.fourcc)

        def __init__(self, path: str, *arguments: object) -> None:
            self._path, self._writer = Path(path), real(path, *arguments)
            self.isOpened, self.write = self._writer.isOpened, self._writer.write

        def release(self) -> None:
            self._writer.release()
            data = self._path.read_bytes()
            self._path.write_bytes(data[: data.rindex(b"moov") - 4])

    monkeypatch.setattr(cv2, "VideoWriter", Cut)
    file = VideoFile(tmp_path / "x.mp4", 25.0, 64, 48)
    file.write(np.full((48, 64, 3), 90, np.uint8), 0.0)
    with pytest.raises(SinkError, match="could not be finished"):
        file.close()
    assert list(tmp_path.iterdir()) == []


def test_a_recorder_tells_why_its_recording_ended_and_can_start_again(
    tiny_disk: Path, make_result: ResultMaker
) -> None:
    recorder = Recorder(tiny_disk, PLAIN)
    filler = tiny_disk / "filler"
    path = recorder.start()
    recorder.write(make_result())
    filler.write_bytes(bytes(4 << 20))
    recorder.write(make_result())
    assert recorder.recording is None and recorder.failure is not None and "full" in recorder.failure
    assert len(read_video(path)) == 1
    filler.unlink()
    recorder.start()
    assert recorder.failure is None
    recorder.close()
