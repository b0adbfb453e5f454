import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from br2net.errors import CameraError
from br2net.live.camera import BufferPolicy, Camera, CameraOptions, CapturedFrame
from tests.mjpeg_server import PATIENCE_S, MjpegServer, jpeg

WAIT = CameraOptions(policy=BufferPolicy.WAIT, backoff_s=0.01, longest_backoff_s=0.05)


def next_frame(camera: Camera) -> CapturedFrame:
    item = camera.take(PATIENCE_S)
    assert item is not None
    return item


def level(item: CapturedFrame) -> int:
    return round(float(np.mean(item.frame)))


@pytest.mark.parametrize("tells_length", [True, False])
def test_mjpeg_gives_the_frames_that_the_server_sends(tells_length: bool) -> None:
    with MjpegServer(tells_length=tells_length) as server, Camera(server.url, WAIT) as camera:
        server.send(*(jpeg(level=value) for value in (10, 100, 200)), jpeg())
        assert [level(next_frame(camera)) for _ in range(3)] == [10, 100, 200]


def test_a_server_that_is_killed_and_restarted_is_found_again() -> None:
    with MjpegServer() as server, Camera(server.url, WAIT) as camera:
        server.send(jpeg(level=50))
        assert level(next_frame(camera)) == 50
        server.kill()
        with MjpegServer(server.port) as again:
            again.wait_for_client()
            again.send(jpeg(level=150))
            item = next_frame(camera)
        assert (level(item), item.index) == (150, 1)
        assert camera.statistics.reconnects >= 1


def test_damaged_frames_are_counted_and_the_others_come() -> None:
    whole = jpeg(level=77)
    with MjpegServer() as server, Camera(server.url, WAIT) as camera:
        server.send(whole[: len(whole) // 2], b"\xff\xd8garbage\xff\xd9", b"", b"<html>busy</html>", whole)
        item = next_frame(camera)
        assert (level(item), item.index, camera.statistics.damaged) == (77, 4, 4)


def test_a_change_of_size_in_the_stream_gives_frames_of_the_new_size() -> None:
    with MjpegServer() as server, Camera(server.url, WAIT) as camera:
        server.send(jpeg(64, 48), jpeg(32, 80), jpeg(64, 48))
        shapes = [next_frame(camera).frame.shape for _ in range(3)]
    assert shapes == [(48, 64, 3), (80, 32, 3), (48, 64, 3)]


def test_closing_ends_a_camera_that_waits_for_a_silent_server() -> None:
    with MjpegServer() as server:
        camera = Camera(server.url, CameraOptions(timeout_s=PATIENCE_S)).open()
        server.wait_for_client()
        camera.close()
        assert camera.exhausted
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("capture ")]


def test_a_server_that_stays_away_is_given_up_when_told() -> None:
    server = MjpegServer()
    options = CameraOptions(policy=BufferPolicy.WAIT, backoff_s=0.01, give_up_s=0.05)
    with Camera(server.url, options) as camera:
        server.send(jpeg())
        next_frame(camera)
        server.kill()
        with pytest.raises(CameraError, match="did not come back"):
            camera.take(None)


def test_user_name_and_password_of_the_address_are_used() -> None:
    with MjpegServer(password="s3:cret") as server:
        server.send(jpeg(level=60))
        with Camera(server.url.replace("//", "//me:s3%3Acret@"), WAIT) as camera:
            assert level(next_frame(camera)) == 60
            assert "cret" not in camera.name


def test_a_wrong_password_is_refused_without_telling_it() -> None:
    with MjpegServer(password="right") as server, pytest.raises(CameraError, match="user name and password") as caught:
        Camera(server.url.replace("//", "//me:wrong@"), WAIT).open()
    assert "wrong" not in str(caught.value)


@pytest.fixture
def file_server(tmp_path: Path) -> Iterator[str]:
    handler = partial(QuietFiles, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def test_a_video_over_http_is_a_file_that_ends(video: Path, file_server: str) -> None:
    with Camera(f"{file_server}/{video.name}") as camera:
        assert [item.index for item in camera] == list(range(12))
        assert camera.policy is BufferPolicy.WAIT


def test_an_address_that_is_not_found_is_told_with_the_servers_words(file_server: str) -> None:
    with pytest.raises(CameraError, match="404"):
        Camera(f"{file_server}/nothing.mjpg").open()
