"""BR²Net in PyTorch: backbones, CAM, RLRM, the two pathways, fusion, the restructured inference form, weights."""

from br2net.network.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from br2net.network.config import NAMED_CONFIGS, BR2NetConfig
from br2net.network.model import BR2Net, Predictions
from br2net.network.restructured import RestructuredBR2Net, restructure
from br2net.network.weights import initialise_backbone

__all__ = [
    "NAMED_CONFIGS",
    "BR2Net",
    "BR2NetConfig",
    "Checkpoint",
    "Predictions",
    "RestructuredBR2Net",
    "initialise_backbone",
    "load_checkpoint",
    "restructure",
    "save_checkpoint",
]
