"""INT8: calibration sets, Q/DQ, layer sensitivity and the accuracy gate."""

from br2net.calibration.gate import GateLimits, GateResult
from br2net.calibration.gathering import Gathered, SetRequest, collect, gather
from br2net.calibration.pipeline import CalibrationOptions, Outcome, calibrate

__all__ = [
    "CalibrationOptions",
    "GateLimits",
    "GateResult",
    "Gathered",
    "Outcome",
    "SetRequest",
    "calibrate",
    "collect",
    "gather",
]
