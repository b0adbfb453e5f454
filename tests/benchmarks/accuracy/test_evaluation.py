"""Running a model over a data set."""

from pathlib import Path

import pytest

from br2net.benchmarks.accuracy import evaluate
from br2net.datasets.pairs import find_pairs
from br2net.errors import DatasetError
from br2net.runtime.backend import Backend


def test_figures_are_those_of_the_known_maps(red_is_blur: Backend, dataset: Path) -> None:
    evaluation = evaluate(red_is_blur, find_pairs(dataset))
    assert {item.name: item.mae for item in evaluation.images} == pytest.approx({"all": 0, "half": 0.25, "none": 0.5})
    assert [item.iou for item in evaluation.images] == pytest.approx([1.0, 0.5, 0.0])
    assert evaluation.summary.mae == pytest.approx(0.25)


def test_each_image_is_reported_when_it_is_done(red_is_blur: Backend, dataset: Path) -> None:
    seen: list[str] = []
    evaluate(red_is_blur, find_pairs(dataset), lambda figures: seen.append(figures.name))
    assert seen == ["all", "half", "none"]


def test_json_has_the_fields_that_are_promised(red_is_blur: Backend, dataset: Path) -> None:
    facts = evaluate(red_is_blur, find_pairs(dataset)).to_json()
    expected = "model, backend, precision, images, mae, max_f_blurred, max_f_sharp, auc, iou, size"
    assert ", ".join(facts) == expected
    assert facts["size"] == "64x64"


def test_an_undefined_figure_is_null(red_is_blur: Backend, dataset: Path) -> None:
    assert evaluate(red_is_blur, find_pairs(dataset)[2:]).to_json()["auc"] is None


def test_a_broken_mask_stops_the_evaluation(red_is_blur: Backend, dataset: Path) -> None:
    (dataset / "masks" / "half.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"half\.png"):
        evaluate(red_is_blur, find_pairs(dataset))
