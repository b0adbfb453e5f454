"""USB cameras, with OpenCV's capture replaced by one that plays a V4L2 device."""

import cv2
import numpy as np
import pytest

from br2net.errors import CameraError, InputError
from br2net.live.camera import Camera, CameraOptions
from br2net.types import PixelFormat

FOURCC = cv2.CAP_PROP_FOURCC


class FakeDevice:
    """A V4L2 device that offers `offered`: YUYV comes as it is once conversion is off, anything else as BGR."""

    def __init__(self, offered: tuple[str, ...]) -> None:
        self.codes = [cv2.VideoWriter.fourcc(*name) for name in offered]
        self.properties: dict[int, float] = {FOURCC: self.codes[0], cv2.CAP_PROP_CONVERT_RGB: 1.0}
        self.order: list[int] = []
        self.opened_with: tuple[object, ...] = ()
        self.frames = 3
        self.backend = "V4L2"

    def __call__(self, *arguments: object) -> "FakeDevice":
        self.opened_with = arguments
        return self

    def isOpened(self) -> bool:
        return True

    def getBackendName(self) -> str:
        return self.backend

    def set(self, name: int, value: float) -> bool:
        self.order.append(name)
        if name == FOURCC and value not in self.codes:
            return False
        self.properties[name] = value
        return True

    def get(self, name: int) -> float:
        return self.properties.get(name, 0.0)

    def grab(self) -> bool:
        self.frames -= 1
        return self.frames >= 0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        raw = (
            self.properties[FOURCC] == cv2.VideoWriter.fourcc(*"YUYV") and not self.properties[cv2.CAP_PROP_CONVERT_RGB]
        )
        return True, np.full((48, 64, 2 if raw else 3), 128, np.uint8)

    def release(self) -> None:
        pass


def open_device(
    device: FakeDevice, monkeypatch: pytest.MonkeyPatch, **options: object
) -> tuple[PixelFormat, tuple[int, ...]]:
    monkeypatch.setattr(cv2, "VideoCapture", device)
    with Camera(0, CameraOptions(**options)) as camera:  # type: ignore[arg-type]
        item = camera.take(20.0)
    assert item is not None
    return item.pixels, item.data.shape


def test_yuyv_comes_as_the_camera_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    device = FakeDevice(("MJPG", "YUYV"))
    assert open_device(device, monkeypatch, fourcc="YUYV", size=(64, 48)) == (PixelFormat.YUYV, (48, 64, 2))
    assert device.opened_with == (0, cv2.CAP_V4L2)
    assert device.order.index(FOURCC) < device.order.index(cv2.CAP_PROP_FRAME_WIDTH)  # drivers list sizes by format


def test_yuyv_that_has_to_be_turned_or_resized_becomes_bgr(monkeypatch: pytest.MonkeyPatch) -> None:
    device = FakeDevice(("YUYV",))
    assert open_device(device, monkeypatch, fourcc="YUYV", rotate=90) == (PixelFormat.BGR, (64, 48, 3))


def test_mjpg_is_decoded_by_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    device = FakeDevice(("YUYV", "MJPG"))
    assert open_device(device, monkeypatch, fourcc="MJPG") == (PixelFormat.BGR, (48, 64, 3))
    assert device.properties[FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")


@pytest.mark.parametrize(
    ("offered", "backend", "pixels", "shape"),
    [
        ("YUYV", "V4L2", PixelFormat.YUYV, (48, 64, 2)),
        ("MJPG", "V4L2", PixelFormat.BGR, (48, 64, 3)),
        ("YUYV", "GSTREAMER", PixelFormat.BGR, (48, 64, 3)),
    ],
)
def test_without_a_format_the_driver_chooses(
    monkeypatch: pytest.MonkeyPatch, offered: str, backend: str, pixels: PixelFormat, shape: tuple[int, ...]
) -> None:
    device = FakeDevice((offered,))
    device.backend = backend
    assert open_device(device, monkeypatch) == (pixels, shape)
    assert FOURCC not in device.order and device.opened_with == (0, cv2.CAP_ANY)


def test_a_format_that_the_camera_does_not_offer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeDevice(("MJPG",)))
    with pytest.raises(CameraError, match="must offer YUYV"):
        Camera(0, CameraOptions(fourcc="YUYV")).open()


def test_other_formats_are_refused() -> None:
    with pytest.raises(InputError, match="MJPG, YUYV, got H264"):
        CameraOptions(fourcc="H264")
