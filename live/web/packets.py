"""Results on their way to the page: a record as JSON, and a packet of the record and both pictures."""

import json
import math
import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from br2net.live.pipeline.result import FrameResult
from br2net.live.sinks.jsonl import result_facts
from br2net.runtime.postprocessing import to_grey

STAGES = ("capture", "preprocess", "inference", "postprocess")
MAP_WIDTH = 320
MAP_QUALITY = 90
HEADER = struct.Struct("<II")


def frame_record(result: FrameResult) -> dict[str, Any]:
    """Return the facts of a JSON line of `result`, and also its size, stages and alerts."""
    return {
        "type": "frame",
        **result_facts(result),
        "alerts": list(result.alerts),
        "width": result.map.shape[1],
        "height": result.map.shape[0],
        "stages": {f"{stage}_ms": round(getattr(result.stages, stage), 3) for stage in STAGES},
    }


def to_json(record: dict[str, Any]) -> str:
    """Return one line of strict JSON; a number that is not finite becomes null."""
    return json.dumps(_finite(record), allow_nan=False, separators=(",", ":"))


def encode(result: FrameResult, largest_width: int, quality: int) -> bytes:
    """Return the packet of one result for the page.

    Two little-endian uint32, the sizes of the record and of the frame; then the record as JSON, the frame as JPEG, the
    map as a grey JPEG (white = blurred) that is at most 320 pixels wide.
    """
    record = to_json(frame_record(result)).encode()
    frame = _jpeg(_at_most(result.frame, largest_width), quality)
    grey = _jpeg(to_grey(_at_most(result.map, MAP_WIDTH)), MAP_QUALITY)
    return b"".join((HEADER.pack(len(record), len(frame)), record, frame, grey))


def _at_most(image: NDArray[Any], width: int) -> NDArray[Any]:
    if image.shape[1] <= width:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))


def _jpeg(image: NDArray[Any], quality: int) -> bytes:
    _, encoded = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return encoded.tobytes()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
