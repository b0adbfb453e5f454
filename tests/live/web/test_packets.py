import json
import math

import cv2
import numpy as np

from br2net.live.web.packets import encode, frame_record, to_json
from tests.live.web.conftest import decode, result


def test_a_packet_holds_record_frame_and_map() -> None:
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.integers(0, 256, (6, 9, 3), np.uint8), (96, 64), interpolation=cv2.INTER_CUBIC)
    record, frame, grey = decode(encode(result(7, frame=smooth), 960, 90))
    assert (record["frame"], record["camera"], record["stages"]["inference_ms"]) == (7, "bench", 15.0)
    assert np.abs(frame.astype(int) - smooth).mean() < 3
    assert np.allclose(grey[32, [8, 48, 88]], [0, 102, 255], atol=2)


def test_large_frames_are_shrunk_and_keep_their_shape() -> None:
    large = result(frame=np.zeros((1080, 1920, 3), np.uint8), map=np.zeros((1080, 1920), np.float32))
    record, frame, grey = decode(encode(large, 960, 80))
    assert (frame.shape, grey.shape) == ((540, 960, 3), (180, 320))
    assert (record["width"], record["height"]) == (1920, 1080)


def test_numbers_that_are_not_finite_become_null() -> None:
    text = to_json(frame_record(result(sharpness=math.nan, latency_ms=math.inf, regions={"a": math.nan})))
    record = json.loads(text)
    assert (record["sharpness"], record["latency_ms"], record["regions"]["a"]["blurred_fraction"]) == (None, None, None)
