"""Variants differ in one thing each, get the same budget, and are not trained twice."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from br2net.network import BR2Net, BR2NetConfig
from br2net.training import VARIANTS, TrainingJob, train_variants
from br2net.training.recipe import ABLATION, Phase, Recipe
from br2net.training.variants import ablation_variants

CONFIG = BR2NetConfig(backbone="mobilenet_v2", backbone_norm="folded", width=4, l2h_level=1, h2l_level=3)


def test_every_variant_lacks_one_part_of_the_full_network() -> None:
    recipes = ablation_variants(replace(ABLATION, config=CONFIG))
    models = {name: BR2Net(recipe.config) for name, recipe in recipes.items()}
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


@pytest.mark.parametrize("name", ["ablation", "trials"])
def test_each_variant_changes_one_thing(name: str) -> None:
    base, *others = (settings_of(recipe) for recipe in VARIANTS[name](ABLATION).values())
    for other in others:
        changed = {TOGETHER.get(key, key) for key in base if other[key] != base[key]}
        assert len(changed) == 1


TOGETHER = {
    "iou_weight": "losses",
    "l1_weight": "losses",
    "step_weight": "losses",
    "fused_weight": "losses",
    "fusion_weights": "losses",
    "phases": "input",
    "size": "input",
    "paste_probability": "collage",
    "halves_probability": "collage",
    "smallest_crop": "crops",
    "whole_probability": "crops",
}
"""Settings that are one thing."""


def settings_of(recipe: Recipe) -> dict[str, object]:
    """All settings by name, those of the network and of the augmentation among them."""
    return vars(recipe) | vars(recipe.config) | vars(recipe.augmentation) | {"config": 0, "augmentation": 0}


def test_all_variants_get_the_same_number_of_steps_and_a_table_is_left(dataset: Path, tmp_path: Path) -> None:
    recipe = replace(ABLATION, config=CONFIG, size=64, phases=(Phase(1.0, (64,)),), epochs=1, batch=5)
    job = TrainingJob(dataset, tmp_path / "ablation", random_weights=True, check_minutes=60.0)
    rows = train_variants(ablation_variants(recipe), job)
    assert [row.steps for row in rows] == [2] * 6
    table = json.loads((tmp_path / "ablation/variants.json").read_text())
    assert [row["variant"] for row in table] == [row.variant for row in rows]
    weights = tmp_path / "ablation/full/last.pth"
    before = weights.stat().st_mtime_ns
    assert train_variants(ablation_variants(recipe), job) == rows
    assert weights.stat().st_mtime_ns == before
