"""The trainer end to end on a small data set: it learns, it resumes, it refuses what it cannot use."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from br2net.errors import DatasetError, ModelError, TrainingError
from br2net.network import BR2NetConfig
from br2net.runtime.metadata import SYMMETRIC
from br2net.training import RECIPES, TrainingJob, train
from br2net.training.data import (
    Batch,
    BatchMaker,
    HeldOutSet,
    Sample,
    TrainingSet,
    held_out_names,
    load_samples,
    prefetched,
    split_pairs,
)
from br2net.training.recipe import Augmentation, Phase, Recipe
from br2net.training.trainer import Trainer
from br2net.training.validation import check_held_out


def small(epochs: int) -> Recipe:
    config = BR2NetConfig(backbone="mobilenet_v2", backbone_norm="folded", width=8, l2h_level=1, h2l_level=3)
    return replace(RECIPES["mobile"], config=config, size=64, phases=(Phase(1.0, (64,)),), epochs=epochs, batch=5)


def job(dataset: Path, output: Path) -> TrainingJob:
    return TrainingJob(dataset, output, random_weights=True, check_minutes=60.0)


def log_of(output: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]


def test_training_lowers_the_loss_and_leaves_a_checkpoint_that_says_what_it_is(dataset: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    train(small(1), job(dataset, output))
    checkpoint = train(small(25), job(dataset, output))
    first, last = log_of(output)[0], log_of(output)[-1]
    assert last["step"] == 50 and last["loss"] < 0.8 * first["loss"]
    assert checkpoint.facts.name == "mobile" and checkpoint.figures["held_out_mae"] <= first["mae"]
    assert json.loads((output / "recipe.json").read_text())["epochs"] == 25


def test_a_second_run_goes_on_where_the_first_stopped(dataset: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    train(small(1), job(dataset, output))
    before = torch.load(output / "last.pth", weights_only=True)
    assert before["state"]["step"] == 2
    train(small(2), job(dataset, output))
    after = torch.load(output / "last.pth", weights_only=True)
    assert after["state"]["step"] == 4 and after["state"]["seconds"] > before["state"]["seconds"]


def test_a_state_of_the_earlier_format_is_resumed(dataset: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    train(small(1), job(dataset, output))
    state = torch.load(output / "last.pth", weights_only=True)
    best = state["state"].pop("best_score")
    torch.save(
        state | {"format": "br2net-training-1", "state": state["state"] | {"best_mae": best}}, output / "last.pth"
    )
    train(small(2), job(dataset, output))
    assert torch.load(output / "last.pth", weights_only=True)["state"]["step"] == 4


def test_a_second_run_keeps_the_average_of_the_first(dataset: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    train(small(10), job(dataset, output))
    before = torch.load(output / "last.pth", weights_only=True)
    train(replace(small(21), batch=10), job(dataset, output))  # one step more
    after = torch.load(output / "last.pth", weights_only=True)
    assert (before["state"]["step"], after["state"]["step"]) == (20, 21)
    for name, value in after["average"].items():
        if value.is_floating_point():
            expected = before["average"][name].numpy() * 21 / 31 + after["model"][name].numpy() * 10 / 31
            assert np.allclose(value.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_run_of_another_network_is_not_resumed(dataset: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    train(small(1), job(dataset, output))
    other = replace(small(1), config=replace(small(1).config, width=6))
    with pytest.raises(ModelError, match="another network"):
        train(other, job(dataset, output))


def test_each_tenth_photograph_of_another_data_set_is_held_out(dataset: Path) -> None:
    training, held_out = split_pairs(dataset, None, False)
    assert [pair.name for pair in held_out] == ["p00", "p10"] and len(training) == 10


def test_the_held_out_list_is_part_of_the_train_set_and_not_of_the_test_set(shared: Path) -> None:
    names = held_out_names()
    train604 = set((shared / "data/cuhk/train604.txt").read_text().split())
    test100 = set((shared / "data/cuhk/test100.txt").read_text().split())
    assert len(names) == 60 and names <= train604 and not names & test100


def test_one_photograph_is_too_few(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("p03\n")
    with pytest.raises(DatasetError, match="at least two"):
        split_pairs(dataset, tmp_path / "one.txt", False)


def test_what_comes_of_a_checkpoint_is_never_worse_than_it_on_the_held_out_photographs(
    dataset: Path, tmp_path: Path
) -> None:
    first = train(small(3), job(dataset, tmp_path / "first"))
    harmful = replace(small(1), name="harmful", backbone_lr=0.5, head_lr=0.5)
    start = replace(job(dataset, tmp_path / "second"), start=tmp_path / "first" / "best.pth")
    second = train(harmful, start)
    assert second.figures["held_out_mae"] <= first.figures["held_out_mae"] + 1e-6
    assert log_of(tmp_path / "second")[0]["mae"] == pytest.approx(first.figures["held_out_mae"], abs=1e-6)


def test_checkpoints_are_compared_as_they_would_ship_with_the_fusion_chosen_for_each(
    dataset: Path, tmp_path: Path
) -> None:
    output, recipe = tmp_path / "run", small(6)
    checkpoint = train(recipe, replace(job(dataset, output), check_minutes=0.0))
    _, held_out = split_pairs(dataset, None, False)
    figures = check_held_out(checkpoint.model, [HeldOutSet("set", load_samples(held_out))], recipe.size, SYMMETRIC)
    assert checkpoint.model.config.fusion_weights != recipe.config.fusion_weights
    assert figures.mae == pytest.approx(checkpoint.figures["held_out_mae"], abs=1e-6)
    logged = [line["mae"] for line in log_of(output)]
    assert len(logged) > 6 and checkpoint.figures["held_out_mae"] == min(logged)


def test_a_diverged_training_stops_and_says_so(dataset: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    train(small(1), job(dataset, output))
    kept = (output / "best.pth").read_bytes()
    with pytest.raises(TrainingError, match="The loss is inf at step 2: training has diverged"):
        train(replace(small(2), l1_weight=float("inf")), job(dataset, output))
    assert (output / "best.pth").read_bytes() == kept


def test_prefetched_batches_are_those_made_one_after_another(dataset: Path) -> None:
    training, _ = split_pairs(dataset, None, False)
    samples, wanted = load_samples(training), [(2, 32), (1, 64), (3, 32), (2, 64), (1, 32)]
    maker, same = (BatchMaker([TrainingSet("all", samples)], [], Augmentation(), SYMMETRIC, seed=5) for _ in range(2))
    with prefetched(maker, iter(wanted)) as batches:
        for batch, (count, size) in zip(batches, wanted, strict=True):
            expected = same.make(count, size)
            assert batch.image.shape == (count, 3, size, size)
            assert np.array_equal(batch.image, expected.image) and np.array_equal(batch.mask, expected.mask)


class FailingMaker(BatchMaker):
    """Fails at batches of 3."""

    def make(self, count: int, size: int) -> Batch:
        if count == 3:
            raise ValueError("no photograph")
        return super().make(count, size)


def test_an_error_in_the_thread_is_raised_where_the_batch_is_taken() -> None:
    sample = Sample(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.float32), "black")
    maker = FailingMaker([TrainingSet("one", [sample])], [], Augmentation(), SYMMETRIC, seed=0)
    with prefetched(maker, iter([(1, 32), (3, 32)])) as batches:
        assert len(next(batches).image) == 1
        with pytest.raises(ValueError, match="no photograph"):
            next(batches)


def test_a_state_is_saved_between_two_checks(dataset: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    saves: list[int] = []
    trainer = Trainer(small(2), replace(job(dataset, output), save_minutes=0.0))
    save = trainer._save
    trainer._save = lambda: (saves.append(trainer._state.step), save())[1]  # type: ignore[method-assign]
    trainer.run()
    assert saves == [1, 2, 3, 4, 4] and len(log_of(output)) == 1


def test_a_mix_is_trained_with_figures_for_each_set(mix: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    checkpoint = train(small(1), replace(job(mix.parent, output), mix=mix))
    figures = log_of(output)[-1]
    assert figures["step"] == 4  # 22 photographs in batches of 5
    assert set(figures["sets"]) == {"known", "partly"}  # type: ignore[call-overload]
    assert checkpoint.figures["held_out_score"] == pytest.approx(figures["score"])


def test_a_start_is_trained_with_the_fusion_of_the_recipe(dataset: Path, tmp_path: Path) -> None:
    first = train(small(3), job(dataset, tmp_path / "first"))
    assert first.model.config.fusion_weights != small(1).config.fusion_weights
    start = replace(job(dataset, tmp_path / "second"), start=tmp_path / "first" / "best.pth")
    assert Trainer(small(1), start)._model.config == small(1).config
    keeping = replace(small(1), chooses_fusion=False)
    assert Trainer(keeping, start)._model.config == first.model.config
