"""Options of the pipeline: regions of interest, smoothing, alerts."""

import re
from dataclasses import dataclass
from typing import Protocol

from br2net.errors import InputError
from br2net.live.pipeline.result import FrameResult

NUMBER = r"\s*(\d+(?:\.\d+)?|\.\d+)\s*"
FORM = re.compile(rf"\s*([^=,]+?)\s*={NUMBER},{NUMBER},{NUMBER},{NUMBER}")


@dataclass(frozen=True)
class Region:
    """A rectangle of the frame.

    Attributes:
        name: of the region.
        x, y, width, height: of the rectangle: in fractions of the frame if all are at most 1, else in pixels.

    Raises:
        InputError: if it is empty, or reaches out of the frame where that can be known.
    """

    name: str
    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if self.width <= 0.0 or self.height <= 0.0 or self.x < 0.0 or self.y < 0.0:
            raise InputError(f"The region {self.name} is empty, or begins outside the frame.")
        if self.in_fractions and (self.x + self.width > 1.0 + 1e-9 or self.y + self.height > 1.0 + 1e-9):
            raise InputError(f"The region {self.name} reaches out of the frame; x + w and y + h are at most 1.")

    @property
    def in_fractions(self) -> bool:
        """Whether the numbers are fractions of the frame, and no pixels."""
        return max(self.x, self.y, self.width, self.height) <= 1.0

    def slices(self, width: int, height: int) -> tuple[slice, slice]:
        """Rows and columns of the region in a frame of that size, at least one of each.

        Raises:
            InputError: if the region lies outside such a frame.
        """
        scale = (width, height) if self.in_fractions else (1, 1)
        left, top = round(self.x * scale[0]), round(self.y * scale[1])
        right, bottom = round((self.x + self.width) * scale[0]), round((self.y + self.height) * scale[1])
        if left >= width or top >= height or right > width or bottom > height:
            raise InputError(f"The region {self.name} reaches out of a frame of {width}x{height}.")
        return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


def parse_region(text: str) -> Region:
    """Read `name=x,y,w,h`, in fractions of the frame or in pixels.

    Raises:
        InputError: if the text is of another form, or the region is empty.
    """
    match = FORM.fullmatch(text)
    if match is None:
        raise InputError(f"A region is written name=x,y,w,h, as face=0.4,0.2,0.2,0.3; {text!r} is not.")
    name, *numbers = match.groups()
    return Region(name, *(float(number) for number in numbers))


class AlertJudge(Protocol):
    """Decides which alerts are on at a frame; called once for each frame, in order, from one thread.

    As with a `Sink`, an attribute `wanted` names the outputs that it reads.
    """

    def judge(self, result: FrameResult) -> tuple[str, ...]:
        """Return the texts of the alerts that are on; `result` is complete except for its alerts."""
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
