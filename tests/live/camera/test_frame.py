import cv2
import numpy as np
import pytest

from br2net.live.camera import CapturedFrame
from br2net.live.pipeline import sharpness
from br2net.live.pipeline.focus import grey_sharpness
from br2net.types import Frame, PixelFormat


def to_nv12(frame: Frame) -> Frame:
    """As a camera would deliver the frame: OpenCV's I420 with its two chroma planes interleaved."""
    height, width = frame.shape[:2]
    planes = cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420)
    chroma = planes[height:].reshape(2, height // 2, width // 2).transpose(1, 2, 0)
    return np.concatenate([planes[:height], chroma.reshape(height // 2, width)]).astype(np.uint8)


def to_yuyv(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    nv12 = to_nv12(frame)
    chroma = nv12[height:].reshape(height // 2, width).repeat(2, axis=0)
    return np.stack([nv12[:height], chroma], axis=2)


def captured(data: Frame, pixels: PixelFormat) -> CapturedFrame:
    return CapturedFrame("cam", 0, 0.0, data, 0.0, 0.0, pixels)


@pytest.mark.parametrize("pixels", list(PixelFormat))
def test_the_picture_and_its_brightness_are_those_of_opencv(photograph: Frame, pixels: PixelFormat) -> None:
    data = {PixelFormat.BGR: photograph, PixelFormat.NV12: to_nv12(photograph), PixelFormat.YUYV: to_yuyv(photograph)}
    codes = {PixelFormat.NV12: cv2.COLOR_YUV2BGR_NV12, PixelFormat.YUYV: cv2.COLOR_YUV2BGR_YUY2}
    item = captured(data[pixels], pixels)
    expected = cv2.cvtColor(data[pixels], codes[pixels]) if pixels in codes else photograph
    height, width = photograph.shape[:2]
    assert item.size == (width, height)
    assert np.array_equal(item.frame, expected)
    assert item.frame is item.frame  # converted once
    difference = np.abs(item.grey.astype(int) - cv2.cvtColor(expected, cv2.COLOR_BGR2GRAY))
    assert difference.max() == 0 if pixels is PixelFormat.BGR else difference.mean() < 1.0
    assert grey_sharpness(item.grey) == pytest.approx(sharpness(np.asarray(expected)), rel=0.02)


def test_luma_of_full_white_and_black_is_full_brightness() -> None:
    nv12 = np.full((6, 4), 128, np.uint8)
    nv12[:4] = [[16, 235, 0, 255]] * 4
    assert captured(nv12, PixelFormat.NV12).grey.tolist() == [[0, 255, 0, 255]] * 4
