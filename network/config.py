"""The one configuration of a BR²Net: backbone, pathways and every ablation of the paper."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

from br2net.errors import InputError

Backbone = Literal["resnext101_32x4d", "resnext50_32x4d", "vgg16", "mobilenet_v2"]
Pathways = Literal["both", "l2h", "h2l"]
Fusion = Literal["mean", "conv"]
BackboneNorm = Literal["batch", "folded"]
LARGEST_RADIUS = 16  # of the guided filter: a window of 33, which every runtime can pool
STEPS = 5  # logit maps of a pathway: its start and four RLRMs


@dataclass(frozen=True)
class BR2NetConfig:
    """What a BR²Net is made of. The defaults are the paper's network as its authors released it.

    Attributes:
        backbone: where the five feature maps F1..F5 come from.
        backbone_norm: `batch` keeps the backbone's BatchNorm layers (state-dict names of the public checkpoints);
            `folded` has them folded into the convolutions, which then carry a bias.
        width: channels inside each RLRM.
        pathways: `both`, or one alone (ablations "O_LH" and "O_HL" of the paper).
        residual: whether a step adds to the previous one (False: ablation "without RLRM").
        attention: whether the CAM gates each feature map.
        fusion: `mean` of the two logit maps (release), or `conv`, one convolution with ReLU (paper).
        fusion_weights: of a `mean`. Two: of the last logit map of L2H and of H2L; half each is the release's. Ten: of the
            five maps of L2H, then of the five of H2L; what comes after a pathway's last map with a weight is left out
            of the inference form. The trainer chooses ten on held-out photographs.
        guided_radius: of the guided filter after the fusion, in pixels at a quarter of the input size; 0 for no filter.
        l2h_level, h2l_level: index into F1..F5 (0..4) of the map whose size the pathway works at.
    """

    backbone: Backbone = "resnext101_32x4d"
    backbone_norm: BackboneNorm = "batch"
    width: int = 128
    pathways: Pathways = "both"
    residual: bool = True
    attention: bool = True
    fusion: Fusion = "mean"
    fusion_weights: tuple[float, ...] = (0.5, 0.5)
    guided_radius: int = 0
    l2h_level: int = 0
    h2l_level: int = 4

    def __post_init__(self) -> None:
        choices = {"backbone": Backbone, "backbone_norm": BackboneNorm, "pathways": Pathways, "fusion": Fusion}
        for name, choice in choices.items():
            if getattr(self, name) not in get_args(choice):
                raise InputError(f"{name} is {getattr(self, name)!r}; it can be {', '.join(get_args(choice))}.")
        if self.width < 1 or not 0 <= self.l2h_level <= 4 or not 0 <= self.h2l_level <= 4:
            raise InputError("width must be at least 1, and l2h_level and h2l_level must lie in 0..4.")
        if not 0 <= self.guided_radius <= LARGEST_RADIUS:
            raise InputError(f"guided_radius must lie in 0..{LARGEST_RADIUS}, not {self.guided_radius}.")
        if len(self.fusion_weights) not in (2, 2 * STEPS):
            raise InputError(f"fusion_weights are 2 or {2 * STEPS} numbers, not {len(self.fusion_weights)}.")

    def step_weights(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Weights of the five logit maps of L2H, and of those of H2L, in what goes into the fusion."""
        if self.fusion == "conv" or self.pathways != "both":
            return _last(1.0), _last(1.0)
        if len(self.fusion_weights) == 2:
            return _last(self.fusion_weights[0]), _last(self.fusion_weights[1])
        return self.fusion_weights[:STEPS], self.fusion_weights[STEPS:]

    def to_json(self) -> str:
        """One line of JSON, the inverse of `from_json`."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "BR2NetConfig":
        """Read what `to_json` wrote.

        Raises:
            InputError: if a field is unknown or has an impossible value.
        """
        values = json.loads(text)
        unknown = set(values) - {item.name for item in fields(cls)}
        if unknown:
            raise InputError(f"The network configuration has unknown fields: {', '.join(sorted(unknown))}.")
        if "fusion_weights" in values:
            values["fusion_weights"] = tuple(float(weight) for weight in values["fusion_weights"])
        return cls(**values)


def _last(weight: float) -> tuple[float, ...]:
    return (0.0,) * (STEPS - 1) + (weight,)


NAMED_CONFIGS: dict[str, BR2NetConfig] = {
    "resnext101": BR2NetConfig(),
    "resnext50": BR2NetConfig(backbone="resnext50_32x4d"),
    "vgg16": BR2NetConfig(backbone="vgg16", l2h_level=1),
    "mobile": BR2NetConfig(backbone="mobilenet_v2", backbone_norm="folded", width=32, l2h_level=1, h2l_level=3),
}
"""Configurations that `br2net export` and `br2net train` know by name; `resnext101` is the paper's network."""
