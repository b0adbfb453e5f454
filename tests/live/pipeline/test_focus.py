import cv2
import numpy as np
import pytest

from br2net.builder.comparison import packaged_photograph
from br2net.errors import ImageError
from br2net.live.pipeline import focus_peaking, sharpness
from br2net.types import Frame


def disc_blur(frame: Frame, radius: float) -> Frame:
    """Blur as a lens out of focus does: by a disc of that radius, antialiased."""
    side, fine = 2 * int(np.ceil(radius)) + 3, 8
    y, x = (np.mgrid[: side * fine, : side * fine] + 0.5) / fine - side / 2
    disc = (np.hypot(x, y) <= radius).reshape(side, fine, side, fine).mean((1, 3))
    return np.asarray(cv2.filter2D(frame, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT), np.uint8)


@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_the_focus_score_falls_steadily_with_the_radius_of_the_blur(noise: float) -> None:
    photograph = packaged_photograph()
    rng = np.random.default_rng(0)
    scores = []
    for radius in range(1, 16):
        blurred = disc_blur(photograph, radius) + rng.normal(0.0, noise, photograph.shape)
        scores.append(sharpness(np.clip(blurred, 0, 255).astype(np.uint8)))
    assert sharpness(photograph) > scores[0]
    assert np.all(np.diff(scores) < 0.0)


def test_the_focus_score_is_the_squared_gradient_over_the_squared_brightness(photograph: Frame) -> None:
    grey = cv2.cvtColor(photograph, cv2.COLOR_BGR2GRAY).astype(np.float64)
    padded = np.pad(grey, 1, mode="reflect")
    across = sum(w * (padded[i : i + 100, 2:] - padded[i : i + 100, :-2]) for i, w in enumerate((1, 2, 1)))
    down = sum(w * (padded[2:, i : i + 150] - padded[:-2, i : i + 150]) for i, w in enumerate((1, 2, 1)))
    assert sharpness(photograph) == pytest.approx(np.mean(across**2 + down**2) / grey.mean() ** 2, rel=1e-6)


def test_exposure_hardly_changes_the_focus_score() -> None:
    photograph = packaged_photograph()
    darker = (photograph * 0.5).astype(np.uint8)
    assert sharpness(darker) == pytest.approx(sharpness(photograph), rel=0.05)


def test_what_is_no_frame_has_no_focus_score() -> None:
    with pytest.raises(ImageError):
        sharpness(np.zeros((4, 4, 3), np.float32))  # type: ignore[arg-type]


def test_peaking_marks_edges_that_are_in_focus_and_nothing_else() -> None:
    frame = np.full((60, 120, 3), 60, np.uint8)
    frame[:, 30:] = 200  # an edge in the half that is in focus
    frame[:, 90:] = 60  # and one in the half that is not
    blur = np.zeros((60, 120), np.float32)
    blur[:, 60:] = 1.0
    marked = focus_peaking(frame, frame, blur)
    columns = np.flatnonzero((marked != frame).any(axis=(0, 2)))
    assert set(columns) == {29, 30}


def test_peaking_marks_no_noise() -> None:
    noise = np.random.default_rng(0).normal(120.0, 3.0, (60, 120, 3)).astype(np.uint8)
    assert np.array_equal(focus_peaking(noise, noise, np.zeros((60, 120), np.float32)), noise)
