import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from br2net.live.camera import BufferPolicy, Camera, CameraOptions

SCRIPT = Path(__file__).resolve().parents[2] / "rtsp_server.py"
SYSTEM_PYTHON = "/usr/bin/python3"
PATIENCE_S = 30.0
CHECK = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


class RtspServer:
    def __init__(self, port: int) -> None:
        command = [SYSTEM_PYTHON, str(SCRIPT), str(port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None and self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def port() -> int:
    has_encoder = (
        shutil.which("gst-inspect-1.0") and not subprocess.run(["gst-inspect-1.0", "--exists", "x264enc"]).returncode
    )
    if not has_encoder or subprocess.run([SYSTEM_PYTHON, "-c", CHECK], capture_output=True).returncode:
        pytest.skip("no RTSP server here: gir1.2-gst-rtsp-server-1.0, python3-gi and GStreamer's x264enc bring one")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_an_rtsp_camera_that_dies_and_comes_back_is_found_again(port: int, transport: str) -> None:
    options = CameraOptions(transport=transport, backoff_s=0.1, longest_backoff_s=0.2, timeout_s=3.0)
    server = RtspServer(port)
    try:
        with Camera(f"rtsp://127.0.0.1:{port}/test", options) as camera:
            assert camera.policy is BufferPolicy.DROP_OLDEST
            first = camera.take(PATIENCE_S)
            assert first is not None and first.frame.shape == (120, 160, 3)
            server.kill()
            server = RtspServer(port)
            while camera.statistics.reconnects == 0:
                assert camera.take(PATIENCE_S) is not None
            later = camera.take(PATIENCE_S)
            assert later is not None and later.index > first.index
    finally:
        server.kill()
