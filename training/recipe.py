"""Recipes: everything that decides how a network is trained, in one frozen object."""

from dataclasses import dataclass, field, replace
from typing import Literal

from br2net.network import NAMED_CONFIGS, BR2NetConfig


@dataclass(frozen=True)
class Augmentation:
    """How a photograph is varied before it is shown to the network.

    Attributes:
        smallest_crop: smallest part of each side that a crop keeps; 1 keeps the whole photograph.
        aspect_jitter: the two sides' parts differ by up to this factor either way.
        whole_probability: how often the whole photograph is taken instead of a crop.
        fixed_crop: crop this many native pixels instead of a part (the paper's 300); 0 for none.
        rotation_degrees: rotation by up to this angle either way.
        photometric: strength of brightness, contrast, gamma and colour changes; 0 for none.
        jpeg_probability, noise_probability: how often a sample is compressed again, or gets sensor noise.
        synthetic_probability: how often a sample is made from in-focus material with synthetic defocus.
    """

    smallest_crop: float = 0.5
    aspect_jitter: float = 1.33
    whole_probability: float = 0.25
    fixed_crop: int = 0
    rotation_degrees: float = 0.0
    photometric: float = 0.2
    jpeg_probability: float = 0.25
    noise_probability: float = 0.25
    synthetic_probability: float = 0.15


@dataclass(frozen=True)
class Phase:
    """Input sizes in use until a share of the training is over; one is drawn per batch. Sizes are square, pixels."""

    until: float
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        name: of the recipe.
        model: what the result is called.
        config: the network.
        normalisation: `imagenet` (mean and standard deviation) or `symmetric` (`x / 127.5 - 1`).
        size: default input size of the result, pixels, and the size of the held-out check.
        phases: input sizes over the course of training.
        optimizer: `adamw` with a one-cycle schedule, or `sgd` with momentum 0.9 and poly decay 0.9 (paper).
        backbone_lr, head_lr: largest learning rates.
        supervision: whether steps are compared at the `input` size (paper) or at their `native` one (cheaper).
        step_weight, fused_weight: weights of the cross-entropy of each step, and of the fused map (1 in the paper).
        iou_weight, l1_weight: weights of the soft IoU and the absolute error of the fused map.
        ema_decay: of the running average of the weights, which is what is kept; 0 for none.
        chooses_fusion: choose each checkpoint's fusion weights, and whether a guided filter follows, on the held-out
            photographs (see `fusion`).
        commuted: run the commuted convolutions in training too (same function, faster).
    """

    name: str
    model: str
    config: BR2NetConfig
    normalisation: Literal["imagenet", "symmetric"]
    size: int
    phases: tuple[Phase, ...]
    epochs: int
    batch: int = 8
    optimizer: Literal["adamw", "sgd"] = "adamw"
    backbone_lr: float = 4e-4
    head_lr: float = 2e-3
    weight_decay: float = 1e-2
    supervision: Literal["native", "input"] = "native"
    step_weight: float = 1.0
    fused_weight: float = 1.0
    iou_weight: float = 1.0
    l1_weight: float = 0.5
    ema_decay: float = 0.998
    commuted: bool = True
    chooses_fusion: bool = True
    augmentation: Augmentation = field(default_factory=Augmentation)


PAPER = Recipe(
    name="paper",
    model="resnext101",
    config=NAMED_CONFIGS["resnext101"],
    normalisation="imagenet",
    size=320,
    phases=(Phase(1.0, (300,)),),
    epochs=265,  # 20,000 iterations of 8 photographs of 604
    optimizer="sgd",
    backbone_lr=1e-3,
    head_lr=1e-3,
    weight_decay=5e-4,
    supervision="input",
    iou_weight=0.0,
    l1_weight=0.0,
    ema_decay=0.0,
    commuted=False,
    chooses_fusion=False,
    augmentation=Augmentation(
        fixed_crop=300,
        rotation_degrees=10.0,
        photometric=0.0,
        jpeg_probability=0.0,
        noise_probability=0.0,
        synthetic_probability=0.0,
    ),
)

MOBILE = Recipe(
    name="mobile",
    model="mobile",
    config=NAMED_CONFIGS["mobile"],
    normalisation="symmetric",
    size=384,
    phases=(Phase(0.5, (256, 288)), Phase(0.8, (288, 320, 352)), Phase(1.0, (352, 384, 416))),
    epochs=80,
)

MOBILE_MIX = replace(
    MOBILE,
    name="mobile-mix",
    phases=(Phase(0.65, (256, 288)), Phase(1.0, (320, 352))),
    epochs=3,
    backbone_lr=2e-4,
    head_lr=1e-3,
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (PAPER, MOBILE, MOBILE_MIX)}
"""Recipes that `br2net train --recipe` knows; `paper` is that of the authors' release."""
