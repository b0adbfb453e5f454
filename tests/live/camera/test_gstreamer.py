import shutil

import pytest

from br2net.live.camera import CameraOptions
from br2net.live.camera.gstreamer import csi_pipeline, elements, missing_elements, with_appsink


def test_a_csi_camera_is_asked_for_size_rate_and_rotation_in_the_gpu() -> None:
    pipeline = csi_pipeline(1, CameraOptions(size=(1920, 1080), fps=60.0, rotate=90))
    assert "nvarguscamerasrc sensor-id=1 !" in pipeline
    assert "video/x-raw(memory:NVMM), width=1920, height=1080, framerate=60/1" in pipeline
    assert "flip-method=3" in pipeline  # clockwise, in nvvidconv's count


def test_a_live_pipeline_hands_over_the_newest_frame_alone() -> None:
    assert with_appsink("v4l2src", True) == (
        "v4l2src ! videoconvert ! video/x-raw, format=BGR ! appsink drop=true max-buffers=1 sync=false"
    )


def test_a_pipeline_from_a_file_loses_no_frame() -> None:
    assert with_appsink("filesrc ! x ! video/x-raw, format=BGR !", False).endswith("format=BGR ! appsink sync=false")


def test_a_pipeline_with_its_own_appsink_stays_as_it_is() -> None:
    assert with_appsink("v4l2src ! appsink", True) == "v4l2src ! appsink"


def test_the_elements_of_a_pipeline_are_named_without_capabilities_and_references() -> None:
    pipeline = "v4l2src device=/dev/video0 ! video/x-raw, width=640 ! tee name=t ! queue ! fakesink t. ! appsink"
    assert elements(pipeline) == ["v4l2src", "tee", "queue", "fakesink", "appsink"]


def test_elements_that_gstreamer_does_not_have_are_named() -> None:
    if shutil.which("gst-inspect-1.0") is None:
        pytest.skip("no gst-inspect-1.0 here")
    assert missing_elements("no-such-source ! queue ! no-such-source ! fakesink") == ["no-such-source"]
