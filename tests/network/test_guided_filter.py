"""The guided filter against its definition: one ridge regression per window, solved by NumPy in float64."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from br2net.errors import InputError
from br2net.network import BR2NetConfig
from br2net.network.guided_filter import EPSILON, GuidedFilter

Array = NDArray[np.float64]


def window(row: int, column: int, shape: tuple[int, int], radius: int) -> tuple[slice, slice]:
    return (
        slice(max(row - radius, 0), min(row + radius + 1, shape[0])),
        slice(max(column - radius, 0), min(column + radius + 1, shape[1])),
    )


def by_definition(logits: Array, guide: Array, radius: int) -> Array:
    """Coefficients `(4, h, w)`, three slopes and an offset, averaged over the windows that each pixel lies in."""
    shape = (logits.shape[0], logits.shape[1])
    own = np.zeros((4, *shape))
    for row in range(shape[0]):
        for column in range(shape[1]):
            inside = window(row, column, shape, radius)
            colours = guide[(slice(None), *inside)].reshape(3, -1)
            values = logits[inside].ravel()
            spread = np.cov(colours, bias=True) + EPSILON * np.eye(3)
            together = (colours * values).mean(1) - colours.mean(1) * values.mean()
            slopes = np.linalg.solve(spread, together)
            own[:3, row, column] = slopes
            own[3, row, column] = values.mean() - slopes @ colours.mean(1)
    averaged = np.zeros_like(own)
    for row in range(shape[0]):
        for column in range(shape[1]):
            averaged[:, row, column] = own[(slice(None), *window(row, column, shape, radius))].mean((1, 2))
    return averaged


@pytest.mark.parametrize(("height", "width", "radius"), [(32, 48, 1), (37, 30, 2), (29, 63, 4)])
def test_it_is_a_regression_on_the_colours_in_each_window(height: int, width: int, radius: int) -> None:
    torch.manual_seed(height)
    image = F.interpolate(torch.rand(1, 3, 7, 7) * 2 - 1, (height, width), mode="bicubic")
    guided_filter = GuidedFilter(radius)
    guide = guided_filter.guide(image)
    assert guide.shape[-2:] == (-(-height // 4), -(-width // 4))
    logits = torch.randn(1, 1, *guide.shape[-2:]) * 4
    coefficients = by_definition(logits[0, 0].double().numpy(), guide[0].double().numpy(), radius)
    enlarged = F.interpolate(torch.from_numpy(coefficients)[None], (height, width), mode="bilinear")
    expected = (enlarged[:, :3] * image.double()).sum(1, keepdim=True) + enlarged[:, 3:]
    assert torch.allclose(guided_filter(logits, guide, image).double(), expected, atol=2e-3)


def test_an_edge_of_the_map_moves_to_the_edge_of_the_photograph() -> None:
    image = torch.full((1, 3, 64, 64), -0.5)
    image[:, :, :, 30:] = torch.tensor([0.5, 0.2, -0.1]).view(1, 3, 1, 1)
    logits = torch.full((1, 1, 16, 16), -6.0)
    logits[:, :, :, 9:] = 6.0  # at column 36 of the photograph, six too far
    guided_filter = GuidedFilter(4)
    filtered = guided_filter(logits, guided_filter.guide(image), image)[0, 0, 32]
    assert bool((filtered[:30] < 0).all()) and bool((filtered[30:] > 0).all())


def test_a_map_without_contrast_stays_as_it_is() -> None:
    image, guided_filter = torch.rand(2, 3, 40, 52) * 2 - 1, GuidedFilter(3)
    logits = torch.full((2, 1, 10, 13), 2.5)
    filtered = guided_filter(logits, guided_filter.guide(image), image)
    assert torch.allclose(filtered, torch.full((2, 1, 40, 52), 2.5), atol=1e-3)


@pytest.mark.parametrize(("dtype", "largest"), [(torch.float16, 0.005), (torch.bfloat16, 0.03)])
def test_half_precision_moves_probabilities_little_even_within_smooth_surfaces(
    dtype: torch.dtype, largest: float
) -> None:
    torch.manual_seed(0)
    smooth = F.interpolate(torch.rand(1, 3, 3, 3), (96, 96), mode="bicubic") * 0.2 + 0.7  # far from 0, little contrast
    noisy = smooth + torch.randn(1, 3, 96, 96) * 0.01
    guided_filter = GuidedFilter(4)
    logits = F.interpolate(torch.randn(1, 1, 4, 4) * 10, (24, 24), mode="bilinear")
    exact = guided_filter(logits, guided_filter.guide(noisy), noisy).sigmoid()
    low = noisy.to(dtype)
    halved = guided_filter(logits.to(dtype), guided_filter.guide(low), low).float().sigmoid()
    assert float((halved - exact).abs().mean()) < largest


def test_a_window_that_no_runtime_can_pool_is_refused() -> None:
    with pytest.raises(InputError, match="guided_radius must lie in"):
        BR2NetConfig(guided_radius=17)
