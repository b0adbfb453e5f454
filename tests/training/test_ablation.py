"""The ablation trains each variant with the same budget, and an interrupted one goes on."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from br2net.network import BR2Net, BR2NetConfig
from br2net.training import ABLATION, TrainingJob, run_ablation
from br2net.training.ablation import ablation_configs
from br2net.training.recipe import Phase

CONFIG = BR2NetConfig(backbone="mobilenet_v2", backbone_norm="folded", width=4, l2h_level=1, h2l_level=3)


def test_every_variant_lacks_one_part_of_the_full_network() -> None:
    configs = ablation_configs(CONFIG)
    models = {name: BR2Net(config) for name, config in configs.items()}
    outputs = {name: len(model.predict(torch.zeros(2, 3, 64, 64)).steps) for name, model in models.items()}
    assert outputs == {
        "full": 10,
        "without-rlrm": 10,
        "l2h-alone": 5,
        "h2l-alone": 5,
        "without-cam": 10,
        "fusion-conv": 10,
    }
    assert not any("attention" in name for name in models["without-cam"].state_dict())
    assert any("fusion" in name for name in models["fusion-conv"].state_dict())
    for name, config in configs.items():
        changed = [key for key, value in vars(config).items() if value != getattr(CONFIG, key)]
        assert len(changed) == (0 if name == "full" else 1)


def test_all_variants_get_the_same_number_of_steps_and_a_table_is_left(dataset: Path, tmp_path: Path) -> None:
    recipe = replace(ABLATION, config=CONFIG, size=64, phases=(Phase(1.0, (64,)),), epochs=1, batch=5)
    job = TrainingJob(dataset, tmp_path / "ablation", random_weights=True, check_minutes=60.0)
    rows = run_ablation(job, recipe)
    assert [row.steps for row in rows] == [2] * 6
    assert [row["variant"] for row in json.loads((tmp_path / "ablation/ablation.json").read_text())] == [
        row.variant for row in rows
    ]
    assert run_ablation(job, recipe) == rows
