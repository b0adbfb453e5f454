"""Figures that others have published, to set beside one's own; never mixed with them.

Source: Jin et al., "Depth and DOF Cues Make Better Defocus Blur Detection", ICME 2023. Blurred = positive; all trained
on Shi's train set. Its "BR2Net" is a retraining by those authors, not the model of the BR²Net paper.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from br2net.datasets.pairs import Pair

SOURCE = "Jin et al., “Depth and DOF Cues Make Better Defocus Blur Detection”, ICME 2023"
SHI_TEST_NAMES_SHA256 = "ea9b9fb9f68c0cacf53ea5a7654ba1b187659bb242bd2346e856155d507570a9"  # sorted stems, a line each
SETS = ("Shi (100)", "DUT (500)", "CTCUG (150)")


@dataclass(frozen=True)
class Figures:
    """MAE (smaller is better), largest F-measure with blurred as positive, and IoU of the blurred class."""

    mae: float
    f_blurred: float
    iou: float

    def row(self) -> tuple[float, float, float]:
        """The three, in this order."""
        return self.mae, self.f_blurred, self.iou


PUBLISHED: dict[str, tuple[Figures, Figures, Figures]] = {  # in the order of SETS
    "DBDF": (Figures(0.292, 0.806, 0.549), Figures(0.384, 0.754, 0.519), Figures(0.360, 0.668, 0.438)),
    "LBP": (Figures(0.154, 0.917, 0.755), Figures(0.199, 0.873, 0.783), Figures(0.291, 0.732, 0.638)),
    "HiFST": (Figures(0.223, 0.803, 0.743), Figures(0.313, 0.839, 0.640), Figures(0.274, 0.775, 0.618)),
    "BTBNet": (Figures(0.110, 0.949, 0.914), Figures(0.196, 0.861, 0.803), Figures(0.177, 0.809, 0.762)),
    "CENet": (Figures(0.061, 0.945, 0.932), Figures(0.141, 0.869, 0.833), Figures(0.117, 0.845, 0.820)),
    "BR²Net (retrained)": (Figures(0.059, 0.966, 0.927), Figures(0.083, 0.943, 0.893), Figures(0.140, 0.834, 0.788)),
    "DD": (Figures(0.045, 0.966, 0.941), Figures(0.074, 0.935, 0.903), Figures(0.155, 0.797, 0.775)),
    "D-DFFNet": (Figures(0.036, 0.973, 0.951), Figures(0.070, 0.939, 0.906), Figures(0.074, 0.892, 0.878)),
}


def which_set(pairs: Sequence[Pair]) -> str | None:
    """Tell which test set of the published figures these photographs are; or None.

    Shi's is known by the names of its standard split; DUT and CTCUG, by folder name and number of photographs.
    """
    folders = {part.lower() for pair in pairs for part in pair.image.parts[:-1]}
    names = "\n".join(sorted(pair.name for pair in pairs))
    if hashlib.sha256(names.encode()).hexdigest() == SHI_TEST_NAMES_SHA256:
        return "Shi (100)"
    if len(pairs) == 500 and any(part.startswith("dut") for part in folders):
        return "DUT (500)"
    if len(pairs) == 150 and any("ctcug" in part for part in folders):
        return "CTCUG (150)"
    return None
