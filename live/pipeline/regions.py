"""Named regions of interest."""

import re
from dataclasses import dataclass

from br2net.errors import InputError

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
