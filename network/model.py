"""BR²Net: backbone, CAM on each feature map, two pathways, fusion, and a guided filter where the network has one."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from br2net.network.backbones import build_backbone
from br2net.network.config import BR2NetConfig
from br2net.network.fusion import ConvFusion, MeanFusion, fuse, weighted
from br2net.network.guided_filter import GuidedFilter
from br2net.network.refinement import Pathway, RefinementModule
from br2net.network.resampling import Size

REDUCTION = 16


class ChannelAttention(nn.Module):
    """CAM: one gate in 0..1 per channel: global average pool, 1x1 to C/16, ReLU, 1x1 to C, sigmoid (PAPER: CAM)."""

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


@dataclass(frozen=True)
class Predictions:
    """Every output that training supervises.

    Attributes:
        steps: logits of each step of each pathway, `(N, 1, h, w)` at the pathway's size.
        fused: logits at the size of the input, `(N, 1, H, W)`.
    """

    steps: list[Tensor]
    fused: Tensor


class BR2Net(nn.Module):
    """The plain form: what is trained, and what the paper describes."""

    def __init__(self, config: BR2NetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.backbone, config.backbone_norm)
        channels = list(self.backbone.channels)
        self.attention = nn.ModuleList(
            ChannelAttention(count) if config.attention else nn.Identity() for count in channels
        )
        self.l2h = Pathway(channels, config.width, config.residual) if config.pathways != "h2l" else None
        self.h2l = Pathway(channels[::-1], config.width, config.residual) if config.pathways != "l2h" else None
        maps = 2 if config.pathways == "both" else 1
        self.fusion = ConvFusion(maps) if config.fusion == "conv" else MeanFusion()
        self.guided_filter = GuidedFilter(config.guided_radius) if config.guided_radius else None

    def commute(self, enabled: bool) -> None:
        """Whether steps run the convolution of a smaller feature map at its own size: same function, less work."""
        for module in self.modules():
            if isinstance(module, RefinementModule):
                module.commuted = enabled

    def predict(self, image: Tensor) -> Predictions:
        """image: `(N, 3, H, W)`, RGB, normalised, any H and W. Gives the logits of every step and of the fusion."""
        features = [gate(feature) for gate, feature in zip(self.attention, self.backbone(image), strict=True)]
        steps: list[Tensor] = []
        maps: list[Tensor] = []
        l2h_weights, h2l_weights = self.config.step_weights()
        if self.l2h is not None:
            outputs = self.l2h(features, size_of(features[self.config.l2h_level]))
            steps += outputs
            maps.append(weighted(outputs, l2h_weights))
        if self.h2l is not None:
            outputs = self.h2l(features[::-1], size_of(features[self.config.h2l_level]))
            steps += outputs
            maps.append(weighted(outputs, h2l_weights))
        return Predictions(steps, fuse(maps, image, self.fusion, self.guided_filter))

    def forward(self, image: Tensor) -> Tensor:
        """image: `(N, 3, H, W)`, RGB, normalised. Gives the blur map `(N, 1, H, W)`, 0..1, 1 = blurred."""
        return torch.sigmoid(self.predict(image).fused)


def size_of(feature: Tensor) -> Size:
    """Height and width of a feature map."""
    return feature.shape[-2], feature.shape[-1]
