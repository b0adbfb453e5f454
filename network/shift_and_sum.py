"""The three ways to resize, shift and sum tap maps, as modules that hold their constants."""

from torch import Tensor, nn

from br2net.network.resampling import (
    Method,
    Size,
    one_hot_kernels,
    shift_and_sum_grouped,
    shift_and_sum_matrices,
    shift_and_sum_slices,
    shifted_interpolation_matrix,
)


class MatrixShiftAndSum(nn.Module):
    """Way 1, with its constant matrices made once per pair of sizes and kept as buffers (outside the state dict)."""

    def forward(self, taps: Tensor, size: Size) -> Tensor:
        """taps: `(N, 9 * K, h, w)`; gives `(N, K, H, W)`. Sizes must be numbers, not symbols, when exporting."""
        return shift_and_sum_matrices(
            taps, self._matrix(taps.shape[-2], size[0], taps), self._matrix(taps.shape[-1], size[1], taps)
        )

    def _matrix(self, source: int, target: int, like: Tensor) -> Tensor:
        name = f"interpolate_{source}_to_{target}"
        if name not in self._buffers:
            self.register_buffer(name, shifted_interpolation_matrix(source, target).to(like.device), persistent=False)
        return self.get_buffer(name).to(like.dtype)


class GroupedShiftAndSum(nn.Module):
    """Way 2: resize, then a grouped convolution with one-hot kernels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.kernels: Tensor
        self.register_buffer("kernels", one_hot_kernels(channels), persistent=False)

    def forward(self, taps: Tensor, size: Size) -> Tensor:
        """taps: `(N, 9 * K, h, w)`; gives `(N, K, H, W)`."""
        return shift_and_sum_grouped(taps, size, self.kernels)


class SliceShiftAndSum(nn.Module):
    """Way 3: resize, pad, nine slices, add."""

    def forward(self, taps: Tensor, size: Size) -> Tensor:
        """taps: `(N, 9 * K, h, w)`; gives `(N, K, H, W)`."""
        return shift_and_sum_slices(taps, size)


def build_shift_and_sum(method: Method, channels: int) -> nn.Module:
    """The module that resizes, shifts and sums `(N, 9 * channels, h, w)` tap maps the given way."""
    if method == "matrices":
        return MatrixShiftAndSum()
    return GroupedShiftAndSum(channels) if method == "grouped" else SliceShiftAndSum()
