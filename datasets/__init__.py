"""Photographs paired with masks, the layouts of published data sets, and the accuracy metrics."""

from br2net.datasets.metrics import AccuracyMeter, Curves, ImageFigures, Positive, Summary
from br2net.datasets.pairs import Pair, find_pairs, read_mask, read_pair, read_split

__all__ = [
    "AccuracyMeter",
    "Curves",
    "ImageFigures",
    "Pair",
    "Positive",
    "Summary",
    "find_pairs",
    "read_mask",
    "read_pair",
    "read_split",
]
