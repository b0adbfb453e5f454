"""VGG16 (Simonyan and Zisserman, ICLR 2015), the backbone of the paper's ablation: names as in torchvision."""

from torch import Tensor, nn

from br2net.network.backbones.base import FeatureExtractor

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16(FeatureExtractor):
    """The five blocks, each taken after its max-pooling: strides 2, 4, 8, 16, 32."""

    channels = (64, 128, 256, 512, 512)
    strides = (2, 4, 8, 16, 32)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.tap_indices: list[int] = []
        in_channels = 3
        for block in BLOCKS:
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
