"""Figures against scikit-learn, and against NumPy written out by definition."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from br2net.datasets.metrics import AccuracyMeter, Curves, f_measure
from br2net.errors import InputError
from br2net.types import Map


@pytest.fixture
def scenes() -> list[tuple[Map, Map]]:
    """Maps and binary masks of several sizes, the maps better than chance and far from perfect."""
    rng = np.random.default_rng(7)
    pairs = []
    for height, width in ((24, 31), (40, 17), (9, 50)):
        mask = (np.add.outer(np.arange(height), np.arange(width)) > (height + width) / 2.5).astype(np.float32)
        blur = np.clip(0.25 + 0.5 * mask + rng.normal(0, 0.3, mask.shape), 0, 1).astype(np.float32)
        pairs.append((blur, mask))
    return pairs


def counted(scenes: list[tuple[Map, Map]]) -> AccuracyMeter:
    meter = AccuracyMeter()
    for index, (blur, mask) in enumerate(scenes):
        meter.add(str(index), blur, mask)
    return meter


def curves_by_definition(scenes: list[tuple[Map, Map]], threshold: int) -> tuple[float, float, float, float]:
    rows = []
    for blur, mask in scenes:
        passed, wanted = np.rint(blur * 255) >= threshold, mask >= 0.5
        true, false = np.sum(passed & wanted), np.sum(passed & ~wanted)
        precision = true / (true + false) if true + false else 1.0
        rows.append((precision, true / wanted.sum(), true / wanted.sum(), false / (~wanted).sum()))
    precision, recall, true_rate, false_rate = np.mean(rows, axis=0)
    return precision, recall, true_rate, false_rate


def test_mae_is_the_mean_over_images_of_the_mean_absolute_difference(scenes: list[tuple[Map, Map]]) -> None:
    expected = np.mean([np.abs(blur.astype(float) - mask).mean() for blur, mask in scenes])
    assert counted(scenes).summary().mae == pytest.approx(expected, abs=1e-7)


def test_mae_does_not_binarise_a_grey_mask() -> None:
    figures = AccuracyMeter().add("grey", np.full((4, 4), 0.75, np.float32), np.full((4, 4), 0.5, np.float32))
    assert figures.mae == pytest.approx(0.25)


def test_iou_is_that_of_scikit_learn(scenes: list[tuple[Map, Map]]) -> None:
    expected = np.mean(
        [sklearn_metrics.jaccard_score(mask.ravel() >= 0.5, blur.ravel() >= 0.5) for blur, mask in scenes]
    )
    assert counted(scenes).summary().iou == pytest.approx(expected)


def test_auc_of_one_image_is_that_of_scikit_learn(scenes: list[tuple[Map, Map]]) -> None:
    blur, mask = scenes[0]
    expected = sklearn_metrics.roc_auc_score(mask.ravel(), np.rint(blur.ravel() * 255))
    meter = AccuracyMeter()
    assert meter.add("one", blur, mask).auc == pytest.approx(expected)
    assert meter.summary().auc == pytest.approx(expected)


@pytest.mark.parametrize("threshold", [0, 1, 90, 128, 254, 255])
def test_curves_are_averages_over_the_images_at_each_threshold(scenes: list[tuple[Map, Map]], threshold: int) -> None:
    curves = counted(scenes).summary().blurred
    measured = (
        curves.precision[threshold],
        curves.recall[threshold],
        curves.true_positive_rate[threshold],
        curves.false_positive_rate[threshold],
    )
    assert measured == pytest.approx(curves_by_definition(scenes, threshold))


def test_max_f_is_the_largest_of_scikit_learns_f_beta_for_one_image(scenes: list[tuple[Map, Map]]) -> None:
    blur, mask = scenes[1]
    level = np.rint(blur.ravel() * 255)
    scores = [sklearn_metrics.fbeta_score(mask.ravel() >= 0.5, level >= t, beta=math.sqrt(0.3)) for t in range(256)]
    figures = AccuracyMeter().add("one", blur, mask)
    assert figures.f_blurred == pytest.approx(max(scores))


def test_max_f_averages_precision_and_recall_before_it_combines_them(scenes: list[tuple[Map, Map]]) -> None:
    by_threshold = []
    for threshold in range(256):
        precision, recall, _, _ = curves_by_definition(scenes, threshold)
        by_threshold.append(1.3 * precision * recall / (0.3 * precision + recall) if precision + recall else 0.0)
    assert counted(scenes).summary().blurred.max_f == pytest.approx(max(by_threshold))


def test_sharp_as_positive_is_blurred_as_positive_of_the_inverted_pair(scenes: list[tuple[Map, Map]]) -> None:
    sharp = counted(scenes).summary().sharp
    inverted = counted([(1 - blur, 1 - mask) for blur, mask in scenes]).summary().blurred
    assert sharp.max_f == pytest.approx(inverted.max_f, abs=1e-6)


def test_a_perfect_map_has_perfect_figures(scenes: list[tuple[Map, Map]]) -> None:
    summary = counted([(mask, mask) for _, mask in scenes]).summary()
    assert (summary.mae, summary.iou, summary.blurred.max_f, summary.sharp.max_f, summary.auc) == (0, 1, 1, 1, 1)


def test_an_image_without_positives_is_left_out_of_the_curves_alone(scenes: list[tuple[Map, Map]]) -> None:
    sharp_everywhere = (np.full((8, 8), 0.1, np.float32), np.zeros((8, 8), np.float32))
    with_it, without = counted([*scenes, sharp_everywhere]).summary(), counted(scenes).summary()
    assert with_it.blurred.max_f == without.blurred.max_f
    assert with_it.auc == without.auc
    assert with_it.mae != without.mae
    assert with_it.sharp.max_f != without.sharp.max_f


def test_figures_that_are_not_defined_are_nan() -> None:
    meter = AccuracyMeter()
    figures = meter.add("sharp", np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32))
    assert math.isnan(figures.f_blurred)
    assert math.isnan(figures.auc)
    assert figures.iou == 1.0
    assert math.isnan(meter.summary().blurred.max_f)


def test_f_measure_is_zero_where_precision_and_recall_are() -> None:
    assert f_measure(np.zeros(1), np.zeros(1))[0] == 0.0


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_a_map_outside_0_to_1_is_refused(value: float) -> None:
    blur = np.full((4, 4), 0.5, np.float32)
    blur[2, 2] = value
    with pytest.raises(InputError, match="outside"):
        AccuracyMeter().add("x", blur, np.zeros((4, 4), np.float32))


def test_a_map_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        AccuracyMeter().add("x", np.zeros((4, 5), np.float32), np.zeros((4, 4), np.float32))


def test_no_image_has_no_summary() -> None:
    with pytest.raises(InputError, match="No image"):
        AccuracyMeter().summary()


def test_the_best_threshold_is_where_f_is_largest() -> None:
    flat = np.full(256, 0.5)
    f = flat.copy()
    f[77] = 0.9
    assert Curves(flat, flat, f, flat, flat).best_threshold == 77


def test_unknown_pixels_count_in_no_figure(scenes: list[tuple[Map, Map]]) -> None:
    whole, cut = AccuracyMeter(), AccuracyMeter()
    for index, (blur, mask) in enumerate(scenes):
        unknown = mask.copy()
        unknown[:, :5] = np.nan
        with_unknown = whole.add(str(index), blur, unknown)
        without = cut.add(str(index), blur[:, 5:], mask[:, 5:])
        assert replace(with_unknown, width=without.width) == without and with_unknown.width == mask.shape[1]
    assert whole.summary().mae == cut.summary().mae and whole.summary().auc == cut.summary().auc
    assert np.array_equal(whole.summary().sharp.f, cut.summary().sharp.f)


def test_a_mask_without_known_pixels_is_refused() -> None:
    with pytest.raises(InputError, match="at least one known pixel"):
        AccuracyMeter().add("x", np.zeros((4, 4), np.float32), np.full((4, 4), np.nan, np.float32))
