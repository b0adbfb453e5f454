"""MobileNetV2 1.0 (Sandler et al., CVPR 2018), the backbone for live use: names as in torchvision."""

from torch import Tensor, nn

from br2net.network.backbones.base import FeatureExtractor

# expansion, channels, repeats, stride of each group of inverted residual blocks
GROUPS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
TAPS = (1, 3, 6, 13, 17)  # indices into `features`: the last block before each change of size


class ConvNormActivation(nn.Sequential):
    """Convolution, BatchNorm, ReLU6."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU6(inplace=True),
        )


class InvertedResidual(nn.Module):
    """1x1 expand (absent where expansion is 1), depthwise 3x3, 1x1 project, plus the input where shapes agree."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [ConvNormActivation(in_channels, hidden, 1)]
        layers += [
            ConvNormActivation(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        ]
        self.conv = nn.Sequential(*layers)
        self.adds_input = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """x: `(N, in_channels, h, w)`; gives `(N, out_channels, ~h / stride, ~w / stride)`."""
        projected: Tensor = self.conv(x)
        return x + projected if self.adds_input else projected


class MobileNetV2(FeatureExtractor):
    """Feature maps of 16, 24, 32, 96, 320 channels at strides 2, 4, 8, 16, 32; no 1280-channel head."""

    channels = (16, 24, 32, 96, 320)
    strides = (2, 4, 8, 16, 32)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNormActivation(3, 32, 3, 2)]
        in_channels = 32
        for expansion, channels, repeats, stride in GROUPS:
            for index in range(repeats):
                layers.append(InvertedResidual(in_channels, channels, stride if index == 0 else 1, expansion))
                in_channels = channels
        self.features = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> list[Tensor]:
        """See `FeatureExtractor.forward`."""
        taps = []
        for index, layer in enumerate(self.features):
            image = layer(image)
            if index in TAPS:
                taps.append(image)
        return taps
