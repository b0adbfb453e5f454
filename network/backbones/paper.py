"""The backbones of the paper, with the names of torchvision and timm.

ResNeXt (Xie et al., CVPR 2017), cardinality 32, base width 4; VGG16 (Simonyan and Zisserman, ICLR 2015), of an ablation.
"""

import torch
from torch import Tensor, nn

from br2net.network.backbones.base import FeatureExtractor

CARDINALITY = 32
EXPANSION = 4
VGG_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class Bottleneck(nn.Module):
    """1x1 reduce, grouped 3x3, 1x1 expand, plus the shortcut."""

    def __init__(self, in_channels: int, planes: int, stride: int) -> None:
        super().__init__()
        width = planes * 2  # planes * 4 / 64 * 32: base width 4 in each of 32 groups
        out_channels = planes * EXPANSION
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=CARDINALITY, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """x: `(N, in_channels, h, w)`; gives `(N, 4 * planes, ~h / stride, ~w / stride)`."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        added: Tensor = self.bn3(self.conv3(x)) + shortcut
        return torch.relu(added)


class ResNeXt(FeatureExtractor):
    """Stem after max-pooling and the four stages: strides 4, 4, 8, 16, 32, as in the authors' release."""

    channels = (64, 256, 512, 1024, 2048)
    strides = (4, 4, 8, 16, 32)

    def __init__(self, blocks: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = self._stage(64, 64, blocks[0], 1)
        self.layer2 = self._stage(256, 128, blocks[1], 2)
        self.layer3 = self._stage(512, 256, blocks[2], 2)
        self.layer4 = self._stage(1024, 512, blocks[3], 2)

    @staticmethod
    def _stage(in_channels: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
        rest = [Bottleneck(planes * EXPANSION, planes, 1) for _ in range(blocks - 1)]
        return nn.Sequential(Bottleneck(in_channels, planes, stride), *rest)

    def forward(self, image: Tensor) -> list[Tensor]:
        """See `FeatureExtractor.forward`."""
        features = [self.maxpool(self.relu(self.bn1(self.conv1(image))))]
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            features.append(stage(features[-1]))
        return features


class VGG16(FeatureExtractor):
    """The five blocks, each taken after its max-pooling: strides 2, 4, 8, 16, 32."""

    channels = (64, 128, 256, 512, 512)
    strides = (2, 4, 8, 16, 32)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.tap_indices: list[int] = []
        in_channels = 3
        for block in VGG_BLOCKS:
            for out_channels in block:
                layers += [nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU(inplace=True)]
                in_channels = out_channels
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=True))  # ceil: the same sizes as strided convolutions give
            self.tap_indices.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> list[Tensor]:
        """See `FeatureExtractor.forward`."""
        taps = []
        for index, layer in enumerate(self.features):
            image = layer(image)
            if index in self.tap_indices:
                taps.append(image)
        return taps
