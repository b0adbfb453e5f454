from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

FRAMES, RATE, WIDTH, HEIGHT = 12, 20.0, 64, 48


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Twelve frames of 64x48 at 20 a second, each of another brightness: 20, 40, 60 …"""
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (WIDTH, HEIGHT))
    for index in range(FRAMES):
        writer.write(np.full((HEIGHT, WIDTH, 3), 20 * (index + 1), np.uint8))
    writer.release()
    return path


@pytest.fixture
def decoded(video: Path) -> list[NDArray[np.uint8]]:
    """The frames of the video as OpenCV reads them."""
    capture = cv2.VideoCapture(str(video))
    frames = []
    while True:
        good, frame = capture.read()
        if not good:
            return frames
        frames.append(np.asarray(frame, np.uint8))
