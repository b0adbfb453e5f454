"""Networks and recipes that differ in one thing each, trained with the same short budget and set in one table.

`ablation` leaves out one part of the network at a time, as the paper's ablations do; `trials` changes one choice of the
network or of the recipe at a time.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from br2net.files import write_text
from br2net.network import BR2Net
from br2net.training.recipe import Phase, Recipe
from br2net.training.trainer import TrainingJob, train

RESULTS = "variants.json"
EVEN_WEIGHTS = (0.3, 0.8, 0.8, 0.8, 0.8, 0.3, 0.8, 0.8, 0.8, 0.8)  # all steps count, each pathway's start less


@dataclass(frozen=True)
class VariantRow:
    """One variant after its training.

    Attributes:
        variant: what was changed.
        parameters: of the network.
        steps: of the optimizer.
        mae, iou: on the held-out photographs, of the averaged weights at the end; no checkpoint is chosen.
    """

    variant: str
    parameters: int
    steps: int
    mae: float
    iou: float


def ablation_variants(full: Recipe) -> dict[str, Recipe]:
    """The full network first, then one part less each time."""
    changes: dict[str, dict[str, object]] = {
        "full": {},
        "without-rlrm": {"residual": False},
        "l2h-alone": {"pathways": "l2h"},
        "h2l-alone": {"pathways": "h2l"},
        "without-cam": {"attention": False},
        "fusion-conv": {"fusion": "conv"},
    }
    return {name: _with_network(full, change) for name, change in changes.items()}


def trial_variants(base: Recipe) -> dict[str, Recipe]:
    """The base recipe first, then one choice changed each time."""
    varied = base.augmentation
    every_step = _with_network(base, {"fusion_weights": EVEN_WEIGHTS})
    return {
        "base": base,
        "backbone-rate-halved": replace(base, backbone_lr=base.backbone_lr / 2),
        "mild-crops": replace(base, augmentation=replace(varied, smallest_crop=0.7, whole_probability=0.4)),
        "fused-first": replace(every_step, step_weight=0.3, fused_weight=2.0, iou_weight=2.0, l1_weight=1.0),
        "with-collage": replace(base, augmentation=replace(varied, paste_probability=0.2, halves_probability=0.1)),
        "without-synthetic": replace(base, augmentation=replace(varied, synthetic_probability=0.0)),
        "cross-entropy-alone": replace(base, iou_weight=0.0, l1_weight=0.0),
        "without-ema": replace(base, ema_decay=0.0),
        "width-16": _with_network(base, {"width": 16}),
        "width-48": _with_network(base, {"width": 48}),
        "l2h-at-1-8": _with_network(base, {"l2h_level": 2}),
        "h2l-at-1-32": _with_network(base, {"h2l_level": 4}),
        "input-384": replace(base, phases=(Phase(1.0, (384,)),), size=384),
    }


VARIANTS = {"ablation": ablation_variants, "trials": trial_variants}
"""Sets of variants by the name of the recipe that `br2net train` knows them by."""


def train_variants(recipes: dict[str, Recipe], job: TrainingJob) -> list[VariantRow]:
    """Train every variant into a folder of its own below `job.output`, and write `variants.json` there after each.

    Variants that an earlier call finished are not trained again, and one that was interrupted goes on.

    Raises:
        Br2netError: what the trainer raises.
    """
    rows: list[VariantRow] = []
    for variant, recipe in recipes.items():
        output = job.output / variant
        if not _is_finished(output / "log.jsonl"):
            train(replace(recipe, model=f"{recipe.model}-{variant}"), replace(job, output=output))
        last = json.loads((output / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
        parameters = sum(item.numel() for item in BR2Net(recipe.config).parameters())
        rows.append(VariantRow(variant, parameters, last["step"], last["mae"], last["iou"]))
        write_text(job.output / RESULTS, json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return rows


def _is_finished(log: Path) -> bool:
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    return bool(lines) and json.loads(lines[-1])["share"] >= 1.0


def _with_network(recipe: Recipe, change: dict[str, object]) -> Recipe:
    return replace(recipe, config=replace(recipe.config, **change))  # type: ignore[arg-type]
