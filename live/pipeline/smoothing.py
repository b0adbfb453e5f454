"""Smoothing of maps over time."""

import math

import cv2
import numpy as np

from br2net.types import Map


class Smoother:
    """Exponential average of a camera's maps with a time constant, whatever their rate.

    After `time_constant_s` seconds a change has come through by 1 - 1/e = 63 %. Frames that are missing do no harm: the
    weight of a map follows from the time since the one before.
    """

    def __init__(self, time_constant_s: float) -> None:
        self._time_constant_s = time_constant_s
        self._average: Map | None = None
        self._timestamp = 0.0

    def apply(self, blur: Map, timestamp: float) -> Map:
        """Average a map `(H, W)` with those before; begins anew when the size changes. Gives a new array."""
        elapsed_s = max(0.0, timestamp - self._timestamp)
        self._timestamp = timestamp
        if self._average is None or self._average.shape != blur.shape:
            self._average = blur
            return blur
        weight = 1.0 - math.exp(-elapsed_s / self._time_constant_s)
        mixed = cv2.addWeighted(blur, weight, self._average, 1.0 - weight, 0.0)
        self._average = np.asarray(mixed, dtype=np.float32)
        return self._average
