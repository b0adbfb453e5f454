"""What a user can ask of the pipeline."""

from dataclasses import dataclass
from typing import Protocol

from br2net.errors import InputError
from br2net.live.pipeline.regions import Region
from br2net.live.pipeline.result import FrameResult


class AlertJudge(Protocol):
    """Says which alerts are on at a frame. Asked once for each frame, in order, from one thread."""

    def judge(self, result: FrameResult) -> tuple[str, ...]:
        """Texts of the alerts that are on; `result` has all but its alerts."""
        ...


@dataclass(frozen=True)
class PipelineOptions:
    """What is done with each frame.

    Attributes:
        smooth_s: time constant of the smoothing of maps over time, seconds; 0 for none.
        regions: whose blurred fraction and sharpness are given as well.
        alerts: says which alerts are on; None for none.

    Raises:
        InputError: if the time constant is negative, or two regions have one name.
    """

    smooth_s: float = 0.0
    regions: tuple[Region, ...] = ()
    alerts: AlertJudge | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.smooth_s <= 3600.0:
            raise InputError(f"A time constant of {self.smooth_s:g} s is not possible; it lies in 0..3600.")
        names = [region.name for region in self.regions]
        if len(set(names)) < len(names):
            raise InputError(f"Two regions have the same name; those given are {', '.join(names)}.")
