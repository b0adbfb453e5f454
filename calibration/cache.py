"""Calibrations kept in the user's cache folder, so that the same one is not measured twice."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from br2net import __version__
from br2net.calibration.activations import Calibration
from br2net.files import cache_folder, write_text

TOOLS = ("onnxruntime", "onnxruntime-gpu", "opencv-python", "numpy")


@dataclass(frozen=True)
class CalibrationKey:
    """All that decides what a calibration measures."""

    model_sha256: str
    set_digest: str
    correct_bias: bool
    tools: str

    def path(self) -> Path:
        """Where the calibration of this key is kept."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:24]
        return cache_folder() / "calibrations" / f"{digest}.json"


def tool_versions() -> str:
    """Versions of this package and of those that measure."""
    found = [f"br2net {__version__}"]
    for name in TOOLS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def cached_calibration(key: CalibrationKey, measure: Callable[[], Calibration]) -> tuple[Calibration, bool]:
    """The calibration of this key and whether it was kept from an earlier run; else what `measure` gives, kept from now."""
    path = key.path()
    found = _read(path, key)
    if found is not None:
        return found, True
    made = measure()
    content = {
        "key": asdict(key),
        "thresholds": dict(made.thresholds),
        "means": {name: [item.tolist() for item in both] for name, both in made.means.items()},
    }
    write_text(path, json.dumps(content))
    return made, False


def _read(path: Path, key: CalibrationKey) -> Calibration | None:
    """What is kept there; None where nothing is, or it is damaged or of another key, and so is measured anew."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["key"] != asdict(key):
            return None
        thresholds = {str(name): float(value) for name, value in content["thresholds"].items()}
        means = {
            str(name): (np.asarray(mean, np.float64), np.asarray(rounded, np.float64))
            for name, (mean, rounded) in content["means"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Calibration(thresholds, means)
