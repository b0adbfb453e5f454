"""Results and events made up for the tests of alerts."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from br2net.live.alerts import AlertEvent
from br2net.live.pipeline import FrameResult
from tests.live.results import frame_result

ResultMaker = Callable[..., FrameResult]
EventMaker = Callable[..., AlertEvent]


def result_at(seconds: float = 0.0, **fields: Any) -> FrameResult:
    """A result at `seconds` after the first, with the given fields."""
    frame, blur = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.float32)
    values = {"camera": "bench", "blurred_fraction": 0.0, "sharpness": 0.0} | fields
    return frame_result(frame, blur, index=round(seconds * 10), timestamp=1_700_000_000.0 + seconds, **values)


@pytest.fixture
def make_result() -> ResultMaker:
    """Makes a result at `seconds` after the first, with the given fields."""
    return result_at


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with a certificate for 127.0.0.1, signed by itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    path = tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=br2net test", "-addext", "subjectAltName=IP:127.0.0.1"]
    key = tmp_path / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, *subject, "-keyout", key, "-out", path], check=True, capture_output=True)
    path.write_text(path.read_text() + key.read_text())
    return path


@pytest.fixture
def make_event() -> EventMaker:
    """Makes the event of frame number `frame`."""

    def make(frame: int = 0) -> AlertEvent:
        return AlertEvent("blurred > 0.6", "on", "bench", frame, 1_700_000_000.0 + frame, 0.7, 0.6, 0.55, 1.7e9, 0.0)

    return make
