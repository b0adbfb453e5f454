"""What makes a frame, or a whole set, useless for calibration."""

from collections import Counter
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from br2net.errors import InputError
from br2net.types import Frame

FEWEST = 8  # distinct frames; ranges of fewer say little of what a camera will see
LARGEST_USELESS_SHARE = 0.5
BLANK_DEVIATION = 3.0  # grey levels; a lens cap with sensor noise lies below
NOISE_CORRELATION = 0.5  # of neighbouring pixels; photographs have more than 0.7, white noise has none
DRAWN_SHARE = 0.85  # of the pixels in eight grey levels; photographs have less, masks and drawings nearly all


def why_useless(frame: Frame) -> str | None:
    """Why a frame, uint8 `(h, w, 3)` BGR, at the size of the network's input or smaller, is no photograph; None if it is."""
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    if float(grey.std()) < BLANK_DEVIATION:
        return "blank"
    if neighbour_correlation(grey) < NOISE_CORRELATION:
        return "noise"
    if drawn_share(grey) > DRAWN_SHARE:
        return "masks or drawings"
    return None


def neighbour_correlation(grey: NDArray[np.generic]) -> float:
    """Correlation of each pixel with its right neighbour, -1..1."""
    values = grey.astype(np.float64)
    left, right = values[:, :-1].ravel(), values[:, 1:].ravel()
    deviation = float(left.std() * right.std())
    return float(((left - left.mean()) * (right - right.mean())).mean()) / deviation if deviation else 1.0


def drawn_share(grey: NDArray[np.generic]) -> float:
    """Share of the pixels that have one of the eight commonest grey levels."""
    counts = np.bincount(grey.ravel(), minlength=256)
    return float(np.sort(counts)[-8:].sum() / counts.sum())


def refuse_useless(seen: int, useless: Mapping[str, int], distinct: int) -> None:
    """Refuse a set of which too little is left.

    Args:
        seen: frames that were looked at.
        useless: how many were left out for which reason.
        distinct: frames that are left without near-duplicates.

    Raises:
        InputError: if more than half are useless, or fewer than eight distinct ones are left.
    """
    dropped = sum(useless.values())
    reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(useless).most_common())
    if dropped > LARGEST_USELESS_SHARE * seen:
        raise InputError(
            f"This is no calibration set: {dropped} of {seen} images are no photographs ({reasons}). "
            "Name a folder of photographs as the camera will see them."
        )
    if distinct < FEWEST:
        left_out = f", and {reasons}" if reasons else ""
        raise InputError(
            f"This calibration set has {distinct} distinct photograph(s) among {seen}{left_out}; at least {FEWEST} are "
            "needed, 100 to 500 of the scenes that the camera will see are good."
        )
