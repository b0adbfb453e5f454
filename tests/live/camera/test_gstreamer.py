import shutil

import pytest

from br2net.live.camera import CameraOptions
from br2net.live.camera.gstreamer import csi_pipeline, elements, missing_elements, with_appsink


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


def test_the_elements_of_a_pipeline_are_named_without_capabilities_and_references() -> None:
    pipeline = "v4l2src device=/dev/video0 ! video/x-raw, width=640 ! tee name=t ! queue ! fakesink t. ! appsink"
    assert elements(pipeline) == ["v4l2src", "tee", "queue", "fakesink", "appsink"]


def test_elements_that_gstreamer_does_not_have_are_named() -> None:
    if shutil.which("gst-inspect-1.0") is None:
        pytest.skip("no gst-inspect-1.0 here")
    assert missing_elements("no-such-source ! queue ! no-such-source ! fakesink") == ["no-such-source"]
