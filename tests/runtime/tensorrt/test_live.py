"""The live pipeline on an engine's requests: results of several cameras are those of `detect`, frame by frame."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from br2net.live.camera import Camera
from br2net.live.pipeline import FrameResult, Pipeline, PipelineOptions, Region
from br2net.runtime.backend import detect
from br2net.runtime.postprocessing import Wanted
from br2net.types import Frame
from tests.runtime.tensorrt.conftest import Opener

FRAMES = 8


class Keeper:
    """A sink that keeps results."""

    wanted = Wanted.MAP | Wanted.OVERLAY

    def __init__(self) -> None:
        self.results: list[FrameResult] = []

    def write(self, result: FrameResult) -> None:
        self.results.append(result)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("cameras", "streams"), [(1, 1), (2, 1), (3, 2)])
def test_live_results_are_those_of_detect(
    open_engine: Opener, tmp_path: Path, photograph: Frame, cameras: int, streams: int
) -> None:
    folders = [tmp_path / f"camera{number}" for number in range(cameras)]
    for number, folder in enumerate(folders):
        folder.mkdir()
        for index in range(FRAMES):
            cv2.imwrite(str(folder / f"{index}.png"), np.roll(photograph, 7 * index + 40 * number, axis=1))
    backend, keeper = open_engine(streams=streams), Keeper()
    sources = [Camera(folder) for folder in folders]
    options = PipelineOptions(regions=(Region("left", 0.0, 0.0, 0.5, 1.0),))
    summary = Pipeline(sources, backend, options).run([keeper])
    assert summary.frames == FRAMES * cameras and summary.stages["inference_ms"] > 0.0
    for source in sources:
        source.close()
        mine = [result for result in keeper.results if result.camera == source.name]
        assert [result.index for result in mine] == list(range(FRAMES))
        for result in mine:
            (expected,) = detect(backend, [result.frame], Wanted.MAP | Wanted.OVERLAY | Wanted.FRACTION)
            assert expected.map is not None and expected.overlay is not None and result.outputs.overlay is not None
            np.testing.assert_allclose(result.map, expected.map, atol=1e-5)
            assert np.abs(result.outputs.overlay.astype(int) - expected.overlay).max() <= 1
            assert result.blurred_fraction == pytest.approx(expected.blurred_fraction, abs=1e-3)
            assert result.regions["left"] == np.mean(result.map[:, : round(photograph.shape[1] / 2)] >= 0.5)
