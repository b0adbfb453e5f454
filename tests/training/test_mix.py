"""A mix of sets: what is read, what is refused, and how often each set is drawn."""

import json
from pathlib import Path

import numpy as np
import pytest

from br2net.errors import DatasetError
from br2net.runtime.metadata import SYMMETRIC
from br2net.training.data import BatchMaker, Sample, TrainingSet, load_mix
from br2net.training.mix import GroundReader, find_mix, read_mix
from br2net.training.recipe import Augmentation

EXTRA = Path(__file__).parents[2] / "training/mixes/extra.json"
PLAIN = Augmentation(
    whole_probability=1.0, photometric=0.0, jpeg_probability=0.0, noise_probability=0.0, synthetic_probability=0.0
)


def change(mix: Path, **fields: object) -> None:
    """Change fields of the first set of a mix file."""
    content = json.loads(mix.read_text())
    content["sets"][0] |= fields
    mix.write_text(json.dumps(content))


def test_a_mix_gives_training_and_held_out_photographs_of_each_set(mix: Path) -> None:
    training, held_out = load_mix(mix.parent, mix)
    assert [(item.name, item.weight, len(item.samples)) for item in training] == [("known", 3, 11), ("partly", 1, 11)]
    assert [[sample.name for sample in item.samples] for item in held_out] == [["p03"], ["p03"]]


def test_unknown_pixels_are_read_as_nan_and_ground_leaves_them_out(mix: Path) -> None:
    _, (known, partly) = load_mix(mix.parent, mix)
    assert not np.isnan(known.samples[0].mask).any() and known.samples[0].ground is None
    sample = partly.samples[0]
    assert np.array_equal(np.isnan(sample.mask).all(axis=0), (np.arange(96) >= 40) & (np.arange(96) < 56))
    expected = np.zeros((72, 96), bool)
    expected[50:, 56:] = True  # p03 is in focus on its right half
    assert sample.ground is not None and np.array_equal(sample.ground, expected)


def test_excluded_photographs_are_in_neither_part(mix: Path) -> None:
    (mix.parent / "suspect.txt").write_text("p00\np01\n")
    change(mix, exclude="suspect.txt")
    pairs = find_mix(mix.parent, mix)[0]
    assert {pair.name for pair in [*pairs.training, *pairs.held_out]} == {f"p{index:02d}" for index in range(2, 12)}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"wieght": 1}, "wieght"),
        ({"weight": -1}, "weights of 0 or more"),
        ({"score_weight": 0}, None),
        ({"held_out": "none.txt"}, "none.txt"),
    ],
)
def test_impossible_fields_are_refused(mix: Path, fields: dict[str, object], message: str | None) -> None:
    change(mix, **fields)
    if message is None:
        assert find_mix(mix.parent, mix)
        return
    with pytest.raises(DatasetError, match=message):
        find_mix(mix.parent, mix)


def test_a_held_out_name_that_the_set_lacks_is_refused(mix: Path) -> None:
    (mix.parent / "held_out.txt").write_text("p99\n")
    with pytest.raises(DatasetError, match="p99"):
        find_mix(mix.parent, mix)


def test_a_file_that_is_no_mix_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mix.json").write_text("[]")
    with pytest.raises(DatasetError, match="must be JSON"):
        read_mix(tmp_path / "mix.json")


def test_ground_at_shoes_is_the_in_focus_part_below_the_lower_shoes_top_without_the_shoes(tmp_path: Path) -> None:
    table = tmp_path / "feet.csv"
    table.write_text('id,foot_boxes_xywh\na,"10,50,6,20;30,60,6,20"\nb,\n')
    mask = np.zeros((100, 50), np.float32)
    mask[:, 40:] = 1.0
    mask[90:] = np.nan
    expected = np.zeros((100, 50), bool)
    expected[60:90, :40] = True
    expected[60:70, 10:16] = expected[60:80, 30:36] = False
    assert np.array_equal(GroundReader(table).read("a", mask), expected)
    assert not GroundReader(table).read("b", mask).any()


def flat(value: int) -> Sample:
    """A photograph of one grey value."""
    return Sample(np.full((8, 8, 3), value, np.uint8), np.zeros((8, 8), np.float32), str(value))


def test_sets_are_drawn_by_weight_and_photographs_of_a_set_in_turn() -> None:
    sets = [
        TrainingSet("light", [flat(255)] * 3, weight=3.0),
        TrainingSet("dark", [flat(value) for value in (0, 10, 20, 30)], weight=1.0),
    ]
    images = BatchMaker(sets, [], PLAIN, SYMMETRIC, seed=0).make(1200, 32).image[:, 0, 0, 0]
    values = np.rint((images + 1.0) * 127.5).astype(int)
    assert np.mean(values == 255) == pytest.approx(0.75, abs=0.03)
    dark = values[values != 255]
    dark = dark[: len(dark) // 4 * 4].reshape(-1, 4)
    assert all(set(turn) == {0, 10, 20, 30} for turn in dark.tolist())


def test_the_mix_of_the_package_holds_out_whole_scenes_and_nothing_of_the_test_set(shared: Path) -> None:
    data = shared / "data"
    test100 = set((data / "cuhk/test100.txt").read_text().split())
    suspect = set((data / "extra/szu/suspect.txt").read_text().split())
    sets = {pairs.entry.name: pairs for pairs in find_mix(data, EXTRA)}
    assert list(sets) == ["cuhk", "szu", "ccp_street", "realmff", "mff_pairs", "facade_street", "sharp_mix"]
    assert sum(pairs.entry.weight for pairs in sets.values()) == pytest.approx(1.0)
    assert not test100 & {pair.name for pair in [*sets["cuhk"].training, *sets["cuhk"].held_out]}
    assert not suspect & {pair.name for pair in [*sets["szu"].training, *sets["szu"].held_out]}
    for name in ("realmff", "mff_pairs"):
        scenes = [{pair.name.rsplit("_", 1)[0] for pair in part} for part in (sets[name].training, sets[name].held_out)]
        assert not scenes[0] & scenes[1] and len(sets[name].held_out) == 2 * len(scenes[1])
