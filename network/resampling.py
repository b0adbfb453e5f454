"""Bilinear resizing, and the three exact ways to shift and sum the maps of a 3x3 convolution's nine taps.

A 3x3 convolution is a sum of nine shifted 1x1 convolutions, and bilinear resizing commutes with a 1x1 convolution. So
`conv3x3(resize(F))` is computed from nine maps at F's own size ("tap maps"), resized, shifted and summed:

1. `matrices`: two constant matrices, `U_y · T · U_xᵀ`, no wide intermediate at the larger size;
2. `grouped`: resize, then a grouped convolution with one-hot kernels;
3. `slices`: resize, pad, nine slices, add.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Size = tuple[int, int]
Method = Literal["matrices", "grouped", "slices"]


def resize(x: Tensor, size: Size) -> Tensor:
    """Bilinear, half-pixel centres, no antialiasing. x: `(N, C, h, w)`; size: `(H, W)`; gives `(N, C, H, W)`."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def interpolation_matrix(source: int, target: int) -> Tensor:
    """`(target, source)` float32 matrix that resizes a column of `source` values bilinearly to `target` values."""
    columns = torch.eye(source).view(1, source, source, 1)  # one channel per unit vector
    return resize(columns, (target, 1)).view(source, target).T.contiguous()


def shifted_interpolation_matrix(source: int, target: int) -> Tensor:
    """`(target, 3 * source)`: the interpolation matrix three times, shifted by -1, 0, +1 rows, zero beyond the border.

    Column block k belongs to tap k of a zero-padded 3-tap convolution: it reads the resized row at `y + k - 1`.
    """
    padded = F.pad(interpolation_matrix(source, target), (0, 0, 1, 1))
    return torch.cat([padded[tap : tap + target] for tap in range(3)], dim=1)


def split_taps(weight: Tensor) -> Tensor:
    """Turn a 3x3 convolution `(K, C, 3, 3)` into a 1x1 convolution `(9 * K, C, 1, 1)`, output order `(K, row, column)`."""
    out_channels, in_channels = weight.shape[:2]
    return weight.permute(0, 2, 3, 1).reshape(9 * out_channels, in_channels, 1, 1).contiguous()


class MatrixShiftAndSum(nn.Module):
    """Way 1, with its constant matrices made once per pair of sizes and kept as buffers (outside the state dict)."""

    def forward(self, taps: Tensor, size: Size) -> Tensor:
        """taps: `(N, 9 * K, h, w)`; gives `(N, K, H, W)`. Sizes must be numbers, not symbols, when exporting."""
        _, channels, height, width = taps.shape
        rows, columns = self._matrix(height, size[0], taps), self._matrix(width, size[1], taps)
        arranged = taps.reshape(-1, channels // 9, 3, 3, height, width).permute(0, 1, 2, 4, 3, 5)
        arranged = arranged.reshape(-1, channels // 9, 3 * height, 3 * width)
        return torch.matmul(torch.matmul(rows, arranged), columns.T)

    def _matrix(self, source: int, target: int, like: Tensor) -> Tensor:
        name = f"interpolate_{source}_to_{target}"
        if name not in self._buffers:
            self.register_buffer(name, shifted_interpolation_matrix(source, target).to(like.device), persistent=False)
        return self.get_buffer(name).to(like.dtype)


class GroupedShiftAndSum(nn.Module):
    """Way 2. Kernel t of each group, `(K, 9, 3, 3)`, picks tap t, so that the convolution shifts and sums."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.kernels: Tensor
        kernels = torch.eye(9).view(1, 9, 3, 3).repeat(channels, 1, 1, 1)
        self.register_buffer("kernels", kernels, persistent=False)

    def forward(self, taps: Tensor, size: Size) -> Tensor:
        """taps: `(N, 9 * K, h, w)`; gives `(N, K, H, W)`."""
        return F.conv2d(resize(taps, size), self.kernels, padding=1, groups=self.kernels.shape[0])


class SliceShiftAndSum(nn.Module):
    """Way 3."""

    def forward(self, taps: Tensor, size: Size) -> Tensor:
        """taps: `(N, 9 * K, h, w)`; gives `(N, K, H, W)`."""
        height, width = size
        resized = F.pad(resize(taps, size), (1, 1, 1, 1))
        by_tap = resized.reshape(-1, taps.shape[1] // 9, 9, height + 2, width + 2)
        parts = [
            by_tap[:, :, 3 * row + column, row : row + height, column : column + width]
            for row in range(3)
            for column in range(3)
        ]
        return torch.stack(parts).sum(dim=0)


def build_shift_and_sum(method: Method, channels: int) -> nn.Module:
    """Make the module that resizes, shifts and sums `(N, 9 * channels, h, w)` tap maps the given way."""
    if method == "matrices":
        return MatrixShiftAndSum()
    return GroupedShiftAndSum(channels) if method == "grouped" else SliceShiftAndSum()
