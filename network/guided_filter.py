"""The guided filter: the blur map's edges are moved to those of the photograph.

A pathway knows where blur begins to within the size of its pixels, a quarter of the input at best, and it is unsure within
smooth surfaces. Within a window a guided filter makes the map a linear function of the photograph's colours, so that it
changes where they do: He, Sun, Tang, "Guided Image Filtering", TPAMI 35 (2013), with its matrix for colour guides; the
coefficients are found at a quarter of the size and then enlarged, as in He, Sun, "Fast Guided Filter" (arXiv 1505.00996).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from br2net.network.resampling import resize

SHRINK = 4  # the coefficients are found at this part of the input size
EPSILON = 4e-3  # variance of the normalised photograph below which a window counts as smooth
LARGEST_LOGIT = 16.0  # a logit beyond it says no more; unbounded ones would spill over edges


class GuidedFilter(nn.Module):
    """Filters a logit map by the photograph it was made from. It has no weights.

    Attributes:
        radius: of the square window, in pixels of the guide.
    """

    def __init__(self, radius: int) -> None:
        super().__init__()
        self.radius = radius

    @staticmethod
    def guide(image: Tensor) -> Tensor:
        """image: `(N, 3, H, W)`; gives it at a quarter of its size, `(N, 3, ⌈H/4⌉, ⌈W/4⌉)`."""
        height, width = image.shape[-2:]
        return resize(image, (-(-height // SHRINK), -(-width // SHRINK)))

    def forward(self, logits: Tensor, guide: Tensor, image: Tensor) -> Tensor:
        """Filter a logit map, and enlarge it to the photograph's size.

        Args:
            logits: `(N, 1, h, w)`, of the guide's size.
            guide: `(N, 3, h, w)`, what `guide` makes of the photograph.
            image: `(N, 3, H, W)`, normalised.

        Returns:
            Logits `(N, 1, H, W)`; linear in `logits` as far as these are within ±16.
        """
        logits = logits.clamp(-LARGEST_LOGIT, LARGEST_LOGIT)
        red, green, blue = guide.chunk(3, dim=1)
        products = torch.cat([red * guide, green * guide[:, 1:], blue * blue], dim=1)
        means = self._box(torch.cat([guide, logits, products, guide * logits], dim=1))
        mean, mean_logit, second, mixed = torch.split(means, [3, 1, 6, 3], dim=1)
        slope = _solve(second, mean, mixed - mean * mean_logit)
        offset = mean_logit - (slope * mean).sum(dim=1, keepdim=True)
        coefficients = resize(self._box(torch.cat([slope, offset], dim=1)), (image.shape[-2], image.shape[-1]))
        red_slope, green_slope, blue_slope, offset = coefficients.chunk(4, dim=1)
        red, green, blue = image.chunk(3, dim=1)
        return red_slope * red + green_slope * green + blue_slope * blue + offset

    def _box(self, x: Tensor) -> Tensor:
        """Mean over the part of each pixel's window that lies inside the picture."""
        radius = self.radius
        along = F.avg_pool2d(x, (1, 2 * radius + 1), 1, (0, radius), count_include_pad=False)
        return F.avg_pool2d(along, (2 * radius + 1, 1), 1, (radius, 0), count_include_pad=False)


def _solve(second: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """Slopes `(N, 3, h, w)`: `(Σ + εI)⁻¹ · covariance`, with Σ the covariance matrix of the colours in each window.

    By LDLᵀ, written out. No pivot is below epsilon but by rounding, and cutting it there keeps half precision usable.

    Args:
        second: means of the products RR, RG, RB, GG, GB, BB, `(N, 6, h, w)`.
        mean: means of the colours, `(N, 3, h, w)`.
        covariance: of the colours with the map, `(N, 3, h, w)`.
    """
    red, green, blue = mean.chunk(3, dim=1)
    v = (second - torch.cat([red * mean, green * mean[:, 1:], blue * blue], dim=1)).chunk(6, dim=1)
    c = covariance.chunk(3, dim=1)
    d0 = v[0].relu() + EPSILON
    l1, l2 = v[1] / d0, v[2] / d0
    d1 = (v[3] - l1 * v[1]).relu() + EPSILON
    rest = v[4] - l1 * v[2]
    l3 = rest / d1
    d2 = (v[5] - l2 * v[2] - l3 * rest).relu() + EPSILON
    y1 = c[1] - l1 * c[0]
    a2 = (c[2] - l2 * c[0] - l3 * y1) / d2
    a1 = y1 / d1 - l3 * a2
    a0 = c[0] / d0 - l1 * a1 - l2 * a2
    return torch.cat([a0, a1, a2], dim=1)
