import numpy as np

from br2net.live.pipeline import Region
from br2net.live.sinks import Drawing
from br2net.runtime.postprocessing import overlay
from tests.live.sinks.conftest import ResultMaker


def test_a_drawing_is_the_overlay_and_is_made_once_for_all_sinks(make_result: ResultMaker) -> None:
    drawing, result = Drawing(opacity=0.4), make_result()
    picture = drawing.draw(result)
    assert np.array_equal(picture, overlay(result.frame, result.map, 0.4))
    assert drawing.draw(result) is picture
    assert drawing.draw(make_result(level=10)) is not picture


def test_regions_are_outlined_where_they_are(make_result: ResultMaker) -> None:
    region = Region("face", 0.5, 0.25, 0.25, 0.5)
    result = make_result(size=(960, 640), regions={"face": 0.5})
    picture = Drawing(opacity=0.0, regions=[region]).draw(result)
    white = (picture == 255).all(axis=2)
    top, bottom, left, right = 160, 479, 480, 719
    assert white[[top, bottom], left : right + 1].all() and white[top : bottom + 1, [left, right]].all()
    assert not white[:, : left - 2].any() and not white[: top - 2].any()
