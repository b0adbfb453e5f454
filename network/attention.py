"""CAM, the channel attention module."""

from torch import Tensor, nn

REDUCTION = 16


class ChannelAttention(nn.Module):
    """One gate in 0..1 per channel: global average pool, 1x1 to C/16, ReLU, 1x1 to C, sigmoid (PAPER: CAM)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // REDUCTION, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.relu = nn.ReLU(inplace=True)
        self.expand = nn.Conv2d(hidden, channels, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, feature: Tensor) -> Tensor:
        """feature: `(N, C, h, w)`; gives the same shape, each channel multiplied by its gate."""
        gate: Tensor = self.sigmoid(self.expand(self.relu(self.reduce(self.pool(feature)))))
        return feature * gate
