"""Timings that others have published, each with its platform; what is not available to us is said to be unknown."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedTiming:
    """One published timing. time: as it was printed, or `unknown`; size: of the input."""

    method: str
    time: str
    size: str
    platform: str
    source: str


PUBLISHED_TIMINGS = (
    PublishedTiming(
        "BR²Net (the paper)",
        "unknown",
        "unknown",
        "Titan Xp",
        "Tang et al., IEEE TMM 23, 2021: “faster than all of the other methods”; its seconds are not available to us",
    ),
    PublishedTiming(
        "BTBNet",
        "about 25 s per image",
        "320×320",
        "unknown",
        "Zhao et al., “Defocus Blur Detection via Multi-Stream Bottom-Top-Bottom Network”",
    ),
    PublishedTiming(
        "DD",
        "more than 30 images a second",
        "unknown",
        "one GPU",
        "Cun and Pun, “Defocus Blur Detection via Depth Distillation”, ECCV 2020",
    ),
)
