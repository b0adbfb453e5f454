"""Results as JSON lines."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from br2net.errors import SinkError
from br2net.files import cannot_write
from br2net.live.pipeline import FrameResult
from br2net.runtime.postprocessing import Wanted


def result_facts(result: FrameResult) -> dict[str, Any]:
    """What a line says of a result; regions only where there are any."""
    facts: dict[str, Any] = {
        "frame": result.index,
        "timestamp": round(result.timestamp, 6),
        "blurred_fraction": round(result.blurred_fraction, 4),
        "latency_ms": round(result.latency_ms, 2),
        "alert": "; ".join(result.alerts) or None,
        "camera": result.camera,
        "sharpness": float(f"{result.sharpness:.6g}"),
    }
    if result.regions:
        facts["regions"] = {
            name: {
                "blurred_fraction": round(fraction, 4),
                "sharpness": float(f"{result.region_sharpness.get(name, 0.0):.6g}"),
            }
            for name, fraction in result.regions.items()
        }
    return facts


class JsonLinesSink:
    """Appends a line for each result, each written at once and whole, so that a reader may follow the file.

    A file that is there is begun anew.
    """

    wanted = Wanted.FRACTION

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            InputError: if it cannot be written to.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise cannot_write(path, error) from error
        self._length = 0

    def write(self, result: FrameResult) -> None:
        """Append a line.

        Raises:
            SinkError: if it cannot be written, as on a full disk; what part of the line was written is taken back.
        """
        line = json.dumps(result_facts(result), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            written = self._file.write(line)
            while written < len(line):
                written += self._file.write(line[written:])
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file.fileno(), self._length)
            raise SinkError(
                f"{self._path} cannot be written any more ({error.strerror or error}); the frames go on without it."
            ) from error
        self._length += len(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
