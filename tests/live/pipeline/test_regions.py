import pytest

from br2net.errors import InputError
from br2net.live.pipeline import parse_region


@pytest.mark.parametrize(
    ("text", "rows", "columns"),
    [
        ("face=0.25,0.5,0.5,0.25", (50, 75), (50, 150)),
        ("all=0,0,1,1", (0, 100), (0, 200)),
        ("spot = 10, 20, 30, 40", (20, 60), (10, 40)),
    ],
)
def test_a_region_names_fractions_or_pixels(text: str, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    assert parse_region(text).slices(200, 100) == (slice(*rows), slice(*columns))


def test_a_tiny_region_has_at_least_one_pixel() -> None:
    rows, columns = parse_region("dot=0.5,0.5,0.001,0.001").slices(100, 100)
    assert rows.stop - rows.start == columns.stop - columns.start == 1


@pytest.mark.parametrize(
    "text", ["face", "face=1,2,3", "=0,0,1,1", "a=0,0,0,1", "a=0.5,0,0.6,1", "a=-1,0,2,2", "a=0,0,1,nan"]
)
def test_a_region_that_is_not_possible_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_region(text)


def test_pixels_outside_the_frame_are_refused() -> None:
    with pytest.raises(InputError, match="200x100"):
        parse_region("a=150,10,100,10").slices(200, 100)
