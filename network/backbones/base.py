"""What every backbone offers, and BatchNorm folding, which all of them need before export."""

from abc import abstractmethod
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class FeatureExtractor(nn.Module):
    """A backbone without its classifier.

    Attributes:
        channels: channels of F1..F5.
        strides: input size divided by the size of F1..F5 (rounded up at odd sizes).
    """

    channels: tuple[int, int, int, int, int]
    strides: tuple[int, int, int, int, int]

    @abstractmethod
    def forward(self, image: Tensor) -> list[Tensor]:
        """image: `(N, 3, H, W)`, RGB, normalised. Gives F1..F5, `(N, channels[i], ~H/strides[i], ~W/strides[i])`."""


def fold_batch_norms(module: nn.Module) -> None:
    """Fold, in place, each BatchNorm that follows a convolution into it; its place is taken by an identity.

    "Follows" means: registered right after it in the same module, which holds for every network of this package.
    The running statistics are used, so the output equals that of the module in evaluation mode.
    """
    children = list(module.named_children())
    for (conv_name, conv), (norm_name, norm) in pairwise(children):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            training = conv.training
            fused = fuse_conv_bn_eval(conv.eval(), norm.eval())
            setattr(module, conv_name, fused.train(training))
            setattr(module, norm_name, nn.Identity())
    for _, child in module.named_children():
        fold_batch_norms(child)
