"""Scales and drawing of the reports."""

import itertools
import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from br2net.benchmarks.report.canvas import Canvas, Scale


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_linear_ticks_are_few_round_and_evenly_spaced(low: float, span: float) -> None:
    ticks = Scale(low, low + span, 0.0, 100.0).ticks()
    assert 2 <= len(ticks) <= 12
    step = ticks[1] - ticks[0]
    assert all(low - 0.01 * step <= tick <= low + span + 0.01 * step for tick in ticks)
    mantissa = step / 10.0 ** math.floor(math.log10(step) + 1e-6)
    assert any(math.isclose(mantissa, choice, rel_tol=1e-3) for choice in (1, 2, 2.5, 5, 10))


@given(st.floats(1e-6, 1e6), st.floats(1.5, 1e6))
def test_logarithmic_ticks_lie_inside_and_double_at_least(low: float, factor: float) -> None:
    ticks = Scale(low, low * factor, 0.0, 100.0, logarithmic=True).ticks()
    assert all(low * 0.99 <= tick <= low * factor * 1.01 for tick in ticks)
    assert all(later / earlier >= 1.9 for earlier, later in itertools.pairwise(ticks))


def test_a_logarithmic_scale_gives_each_decade_the_same_room() -> None:
    scale = Scale(1.0, 1000.0, 0.0, 300.0, logarithmic=True)
    assert [scale.at(value) for value in (1.0, 10.0, 100.0, 1000.0)] == pytest.approx([0.0, 100.0, 200.0, 300.0])
    assert scale.at(0.0) == 0.0
    assert scale.at(1e9) == 300.0


def test_a_drawing_is_well_formed_and_its_words_are_escaped() -> None:
    canvas = Canvas(100, 50, 'a "label" & more')
    canvas.axes(Scale(0.0, 1.0, 10.0, 90.0), Scale(0.0, 1.0, 40.0, 5.0), "<x>", "y & z")
    canvas.rect((1, 2), -3, 4, "c1", tip="5 < 6")
    canvas.circle((1, 2), 3, "c2")
    canvas.curve([(0, 0), (1, 1)], "c3")
    root = ElementTree.fromstring(canvas.svg())
    words = [element.text for element in root.iter() if element.text]
    assert {"<x>", "y & z", "5 < 6"} <= set(words)
    assert [element.get("width") for element in root.iter("rect")] == ["0.0"]
