"""The check on photographs in focus everywhere."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from br2net.benchmarks.accuracy import check_sharp
from br2net.benchmarks.accuracy.sharp_check import defocus
from br2net.errors import InputError
from br2net.runtime.backend import Backend


def test_both_amounts_are_those_of_the_known_map(red_is_blur: Backend, tmp_path: Path) -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:32, :, 2] = 51  # a fifth: found to be 0.2 blurred, which is below one half
    frame[32:48, :, 2] = 255
    cv2.imwrite(str(tmp_path / "a.png"), frame)
    amount = check_sharp(red_is_blur, [tmp_path / "a.png"]).as_it_is
    assert amount.fraction == pytest.approx(0.25)
    assert amount.mean == pytest.approx(0.5 * 0.2 + 0.25, abs=1e-6)


def test_figures_are_averaged_over_the_photographs(red_is_blur: Backend, tmp_path: Path) -> None:
    for name, red in (("black", 0), ("red", 255)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((64, 64, 3), (0, 0, red), np.uint8))
    check = check_sharp(red_is_blur, [tmp_path / "black.png", tmp_path / "red.png"])
    assert [item.as_it_is.fraction for item in check.images] == [0.0, 1.0]
    assert check.as_it_is.fraction == 0.5
    assert check.defocused.mean == pytest.approx(0.5)  # a flat photograph does not change


def test_no_photograph_is_refused(red_is_blur: Backend) -> None:
    with pytest.raises(InputError, match="at least one"):
        check_sharp(red_is_blur, [])


def test_defocus_spreads_a_point_of_light_over_a_disc_of_a_fiftieth_of_the_longer_side() -> None:
    frame = np.zeros((200, 500, 3), np.uint8)
    frame[100, 250] = 255
    lit = defocus(frame)[..., 0] > 0
    rows, columns = np.nonzero(lit)
    radius = 500 / 50
    assert rows.max() - rows.min() == columns.max() - columns.min() == 2 * radius
    assert np.hypot(rows - 100, columns - 250).max() <= radius
    assert lit.sum() == pytest.approx(np.pi * radius**2, rel=0.05)


def test_defocus_keeps_the_light_rather_than_the_grey_level() -> None:
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    middle = defocus(stripes)[64, 64, 0]
    assert middle == pytest.approx(255 * 0.5 ** (1 / 2.2), abs=8)  # 186, where grey levels would give 128
