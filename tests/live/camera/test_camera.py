import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from br2net.errors import CameraError, InputError, MissingDependencyError
from br2net.live.camera import BufferPolicy, Camera, CameraOptions
from br2net.types import Frame


def capture_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("capture ")]


def test_a_file_gives_every_frame_in_order_as_opencv_decodes_it(video: Path, decoded: list[Frame]) -> None:
    with Camera(video) as camera:
        items = list(camera)
    assert [item.index for item in items] == list(range(len(decoded)))
    assert all(np.array_equal(item.frame, frame) for item, frame in zip(items, decoded, strict=True))
    assert (camera.rate, camera.policy) == (20.0, BufferPolicy.WAIT)


def test_timestamps_of_a_file_follow_its_own_rate_however_fast_it_is_read(video: Path) -> None:
    with Camera(video) as camera:
        times = np.array([item.timestamp for item in camera])
    np.testing.assert_allclose(np.diff(times), 1.0 / 20.0, atol=1e-6)


@pytest.mark.parametrize(
    ("rotate", "code"), [(90, cv2.ROTATE_90_CLOCKWISE), (180, cv2.ROTATE_180), (270, cv2.ROTATE_90_COUNTERCLOCKWISE)]
)
def test_frames_are_turned_clockwise_as_opencv_turns_them(
    tmp_path: Path, photograph: Frame, rotate: int, code: int
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), photograph)
    with Camera(tmp_path, CameraOptions(rotate=rotate)) as camera:
        (item,) = camera
    assert np.array_equal(item.frame, cv2.rotate(photograph, code))


def test_frames_are_brought_to_the_size_before_they_are_turned(video: Path) -> None:
    with Camera(video, CameraOptions(size=(32, 16), rotate=90)) as camera:
        assert {item.frame.shape for item in camera} == {(32, 16, 3)}


def test_a_lower_rate_takes_frames_evenly_and_counts_the_others(video: Path) -> None:
    with Camera(video, CameraOptions(fps=5.0)) as camera:
        indices = [item.index for item in camera]
    assert indices == [0, 4, 8]
    assert camera.statistics.thinned == 9


def test_a_folder_gives_its_images_by_name_and_leaves_damaged_ones_out(tmp_path: Path, photograph: Frame) -> None:
    for name in ("b.png", "a.png"):
        cv2.imwrite(str(tmp_path / name), photograph)
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:500])
    with Camera(tmp_path) as camera:
        assert [item.index for item in camera] == [0, 1]
    assert camera.statistics.damaged == 1


def test_a_file_that_drops_is_played_at_its_own_rate(video: Path) -> None:
    options = CameraOptions(policy=BufferPolicy.DROP_OLDEST)
    with Camera(video, options) as camera:
        items = list(camera)
    assert items[-1].captured_at - items[0].captured_at >= (items[-1].index - items[0].index) / 20.0 - 0.01


def test_leaving_a_camera_early_joins_its_thread(video: Path) -> None:
    with Camera(video) as camera:
        assert next(iter(camera)).index == 0
        assert capture_threads()
    assert not capture_threads()
    assert camera.exhausted


def test_a_closed_camera_is_not_opened_again(video: Path) -> None:
    with Camera(video) as camera:
        pass
    with pytest.raises(CameraError, match="make a new Camera"):
        camera.open()


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_a_file_that_is_no_video_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(CameraError, match=r"broken\.mp4"):
        Camera(path).open()


@pytest.mark.parametrize("address", ["rtsp://127.0.0.1:9/a", "http://127.0.0.1:9/a", "/dev/video97", "97"])
def test_a_camera_that_is_not_there_is_refused_in_one_sentence(address: str) -> None:
    with pytest.raises(CameraError) as caught:
        Camera(address).open()
    assert str(caught.value).count("\n") == 0 and not capture_threads()


@pytest.mark.parametrize("source", ["csi://0", "videotestsrc ! videoconvert"])
def test_gstreamer_sources_say_what_is_missing_where_opencv_has_none(source: str) -> None:
    if cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        pytest.skip("this OpenCV has GStreamer")
    with pytest.raises(MissingDependencyError, match="OpenCV with GStreamer"):
        Camera(source).open()


@pytest.mark.parametrize(
    "arguments",
    [
        {"rotate": 45},
        {"fps": 0.0},
        {"size": (0, 480)},
        {"transport": "pigeon"},
        {"timeout_s": 0.0},
        {"backoff_s": -1.0},
    ],
)
def test_options_that_are_not_possible_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(InputError):
        CameraOptions(**arguments)  # type: ignore[arg-type]
