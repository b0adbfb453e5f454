"""Backbones: each gives five feature maps F1..F5, from low level (large) to high level (small).

State-dict names are those of the common public ImageNet checkpoints (torchvision, timm), so that these load as they are.
"""

from br2net.network.backbones.base import FeatureExtractor, fold_batch_norms
from br2net.network.backbones.mobilenet import MobileNetV2
from br2net.network.backbones.paper import VGG16, ResNeXt
from br2net.network.config import Backbone, BackboneNorm

__all__ = ["VGG16", "FeatureExtractor", "MobileNetV2", "ResNeXt", "build_backbone", "fold_batch_norms"]


def build_backbone(name: Backbone, norm: BackboneNorm = "batch") -> FeatureExtractor:
    """Make a backbone with random weights; `norm="folded"` gives convolutions with a bias and no BatchNorm."""
    backbone: FeatureExtractor
    if name == "resnext101_32x4d":
        backbone = ResNeXt((3, 4, 23, 3))
    elif name == "resnext50_32x4d":
        backbone = ResNeXt((3, 4, 6, 3))
    elif name == "vgg16":
        backbone = VGG16()
    else:
        backbone = MobileNetV2()
    if norm == "folded":
        fold_batch_norms(backbone)
    return backbone
