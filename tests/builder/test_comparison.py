import numpy as np
import pytest

from br2net.builder.comparison import Tolerance, difference
from br2net.errors import GateError

ZEROS = np.zeros((1, 1, 4, 4), np.float32)


def test_difference_is_over_all_pixels_of_all_maps() -> None:
    one = ZEROS.copy()
    one[0, 0, 1, 2] = -0.8
    found = difference([ZEROS, one], [ZEROS, ZEROS])
    assert found.largest == pytest.approx(0.8)
    assert found.mean == pytest.approx(0.8 / 32)


def test_maps_within_the_tolerance_pass() -> None:
    Tolerance(largest=0.1, mean=0.1).check(difference([ZEROS + 0.05], [ZEROS]), "It", "the ONNX")


@pytest.mark.parametrize("value", [0.2, np.nan, np.inf])
def test_maps_beyond_it_and_maps_that_are_no_numbers_are_refused_with_exit_code_3(value: float) -> None:
    with pytest.raises(GateError, match="It is refused") as caught:
        Tolerance(largest=0.1, mean=0.1).check(difference([ZEROS + np.float32(value)], [ZEROS]), "It", "the ONNX")
    assert caught.value.exit_code == 3


def test_maps_of_another_shape_are_refused() -> None:
    with pytest.raises(GateError, match="shapes"):
        difference([ZEROS], [ZEROS[:, :, :2]])
