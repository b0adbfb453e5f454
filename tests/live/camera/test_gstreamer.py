import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import br2net
from br2net.errors import CameraError
from br2net.live.camera import CameraOptions
from br2net.live.camera.gstreamer import csi_pipeline, elements, missing_elements, with_appsink
from br2net.live.pipeline import sharpness

ROOT = Path(__file__).resolve().parents[3]
HAS_GSTREAMER = "import cv2; assert cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER)"
RUN = """
import sys
import numpy as np
from br2net.live.camera import Camera
from br2net.live.pipeline import Pipeline
from tests.fake_backend import FakeBackend

found = {}
with Camera(sys.argv[1]) as camera:
    for number, item in enumerate(Pipeline([camera], FakeBackend()).results()):
        captured = item.captured
        found |= {f"data{number}": captured.data, f"map{number}": item.map, f"sharpness{number}": item.sharpness}
        found |= {f"pixels{number}": captured.pixels.name, f"frame{number}": item.frame}
np.savez(sys.argv[2], **found)
"""


@pytest.fixture(scope="module")
def python_with_gstreamer() -> str:
    """A Python whose OpenCV has GStreamer: this one, or the system's."""
    if shutil.which("gst-launch-1.0"):
        for python in (sys.executable, "/usr/bin/python3"):
            if (
                Path(python).exists()
                and subprocess.run([python, "-c", HAS_GSTREAMER], capture_output=True).returncode == 0
            ):
                return python
    pytest.skip("no OpenCV with GStreamer here (Debian: python3-opencv, gstreamer1.0-plugins-base, gstreamer1.0-tools)")


def run_pipeline(python: str, pipeline: str, path: Path) -> dict[str, np.ndarray]:
    """Take `pipeline` through a camera and a model whose map is the red channel; give what came of each frame."""
    environment = {**os.environ, "PYTHONPATH": f"{Path(br2net.__file__).parents[1]}:{ROOT}"}
    command = [python, "-c", RUN, pipeline, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(np.load(path))


@pytest.mark.parametrize(
    ("caps", "pixels", "code"),
    [
        ("format=NV12", "NV12", cv2.COLOR_YUV2BGR_NV12),
        ("format=I420", "NV12", cv2.COLOR_YUV2BGR_NV12),
        ("format=YUY2", "YUYV", cv2.COLOR_YUV2BGR_YUY2),
        ("format=RGB", "BGR", None),
    ],
)
def test_frames_of_a_pipeline_reach_the_model_as_the_camera_gives_them(
    python_with_gstreamer: str, tmp_path: Path, caps: str, pixels: str, code: int | None
) -> None:
    source = f"videotestsrc num-buffers=3 pattern=smpte75 ! video/x-raw, {caps}, width=128, height=64"
    found = run_pipeline(python_with_gstreamer, source, tmp_path / "native.npz")
    reference = run_pipeline(
        python_with_gstreamer, f"{source} ! videoconvert ! video/x-raw, format=BGR", tmp_path / "bgr.npz"
    )
    assert "frame2" in found and "frame3" not in found
    for number in range(3):
        data, frame, blur = (found[f"{name}{number}"] for name in ("data", "frame", "map"))
        assert str(found[f"pixels{number}"]) == pixels
        bgr = data if code is None else cv2.cvtColor(data, code)
        assert np.array_equal(frame, bgr)
        # GStreamer converts with coarser integers, and interpolates chroma at the edges of the bars in another way
        difference = np.abs(frame.astype(int) - reference[f"frame{number}"])
        assert np.percentile(difference, 90) <= 6
        small = cv2.resize(bgr, (64, 32), interpolation=cv2.INTER_AREA)[..., 2].astype(np.float32) / 255.0
        np.testing.assert_allclose(blur, cv2.resize(small, (128, 64)), atol=0.03)
        luma = data[:64] if pixels == "NV12" else data[..., 0]
        grey = np.clip(np.rint((luma.astype(float) - 16.0) * 255.0 / 219.0), 0, 255).astype(np.uint8)
        expected = sharpness(grey if pixels != "BGR" else data)
        assert found[f"sharpness{number}"] == pytest.approx(expected, rel=1e-6)


def test_an_odd_size_in_nv12_is_refused_with_what_to_do(python_with_gstreamer: str, tmp_path: Path) -> None:
    source = "videotestsrc num-buffers=1 ! video/x-raw, format=I420, width=64, height=47"
    with pytest.raises(AssertionError, match="must have an even width and height, got 64x47"):
        run_pipeline(python_with_gstreamer, source, tmp_path / "odd.npz")
    ending = " ! videoconvert ! video/x-raw, format=BGR"
    assert run_pipeline(python_with_gstreamer, source + ending, tmp_path / "x.npz")["frame0"].shape == (47, 64, 3)


def test_a_csi_camera_is_asked_for_size_rate_and_rotation_in_the_gpu() -> None:
    pipeline = csi_pipeline(1, CameraOptions(size=(1920, 1080), fps=60.0, rotate=90))
    assert "nvarguscamerasrc sensor-id=1 !" in pipeline
    assert "video/x-raw(memory:NVMM), width=1920, height=1080, framerate=60/1" in pipeline
    assert "flip-method=3" in pipeline  # clockwise, in nvvidconv's count
    assert "format=NV12 ! appsink" in pipeline and "videoconvert" not in pipeline


def test_a_live_pipeline_hands_over_the_newest_frame_alone_without_converting_it() -> None:
    assert with_appsink("v4l2src", True) == (
        "v4l2src ! videoconvert ! video/x-raw, format=(string){NV12, YUY2} ! appsink drop=true max-buffers=1 sync=false"
    )


def test_a_pipeline_from_a_file_loses_no_frame() -> None:
    assert with_appsink("filesrc ! x ! video/x-raw, format=BGR !", False).endswith("format=BGR ! appsink sync=false")


@pytest.mark.parametrize("named", ["format=RGB", "format=(string)GRAY8", 'format = "RGBA"'])
def test_a_pipeline_that_names_rgb_or_grey_keeps_its_colours(named: str) -> None:
    assert "videoconvert ! video/x-raw, format=BGR ! " in with_appsink(f"x ! video/x-raw, {named}", True)


def test_a_pipeline_with_its_own_appsink_stays_as_it_is() -> None:
    assert with_appsink("v4l2src ! appsink", True) == "v4l2src ! appsink"


@pytest.mark.parametrize("named", ["I420", "UYVY"])
def test_a_format_that_opencv_does_not_tell_from_nv12_or_yuy2_is_refused(named: str) -> None:
    with pytest.raises(CameraError, match=f"NV12, YUY2, BGR or GRAY8, got {named}"):
        with_appsink(f"x ! video/x-raw, format={named} ! appsink", True)


def test_the_elements_of_a_pipeline_are_named_without_capabilities_and_references() -> None:
    pipeline = "v4l2src device=/dev/video0 ! video/x-raw, width=640 ! tee name=t ! queue ! fakesink t. ! appsink"
    assert elements(pipeline) == ["v4l2src", "tee", "queue", "fakesink", "appsink"]


def test_elements_that_gstreamer_does_not_have_are_named() -> None:
    if shutil.which("gst-inspect-1.0") is None:
        pytest.skip("no gst-inspect-1.0 here")
    assert missing_elements("no-such-source ! queue ! no-such-source ! fakesink") == ["no-such-source"]
