"""INT8: calibration sets, Q/DQ, layer sensitivity and the accuracy gate."""

from br2net.calibration.gate import GateLimits, GateResult
from br2net.calibration.gathering import Gathered, SetRequest, collect, gather
from br2net.calibration.pipeline import CalibrationOptions, Outcome, RefusedError, calibrate
from br2net.calibration.thresholds import METHODS

__all__ = [
    "METHODS",
    "CalibrationOptions",
    "GateLimits",
    "GateResult",
    "Gathered",
    "Outcome",
    "RefusedError",
    "SetRequest",
    "calibrate",
    "collect",
    "gather",
]
