"""The ablations of the paper: the network without one of its parts, each trained with the same short budget."""

import json
from dataclasses import asdict, dataclass, replace

from br2net.files import write_text
from br2net.network import BR2Net, BR2NetConfig
from br2net.training.recipe import ABLATION, Recipe
from br2net.training.trainer import TrainingJob, train

RESULTS = "ablation.json"


@dataclass(frozen=True)
class AblationRow:
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


def ablation_configs(full: BR2NetConfig) -> dict[str, BR2NetConfig]:
    """The full network first, then one part less each time; the folders of the runs are called so."""
    return {
        "full": full,
        "without-rlrm": replace(full, residual=False),
        "l2h-alone": replace(full, pathways="l2h"),
        "h2l-alone": replace(full, pathways="h2l"),
        "without-cam": replace(full, attention=False),
        "fusion-conv": replace(full, fusion="conv"),
    }


def run_ablation(job: TrainingJob, recipe: Recipe = ABLATION) -> list[AblationRow]:
    """Train every variant into a folder of its own below `job.output`, and write `ablation.json` there.

    The variants that an earlier call trained are not trained again, and one that was interrupted goes on.

    Raises:
        Br2netError: what the trainer raises.
    """
    rows = []
    for variant, config in ablation_configs(recipe.config).items():
        output = job.output / variant
        train(replace(recipe, config=config, model=f"{recipe.model}-{variant}"), replace(job, output=output))
        last = json.loads((output / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
        parameters = sum(item.numel() for item in BR2Net(config).parameters())
        rows.append(AblationRow(variant, parameters, last["step"], last["mae"], last["iou"]))
    write_text(job.output / RESULTS, json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return rows
