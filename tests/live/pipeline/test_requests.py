"""How the pipeline uses requests: what it asks for, their batch sizes, how many are in flight, and that none is lost."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest

from br2net.errors import BackendError, InputError
from br2net.live.camera import Camera, CapturedFrame
from br2net.live.pipeline import FrameResult, Pipeline, PipelineOptions, Region
from br2net.live.pipeline.stages import Finisher, Job
from br2net.live.sinks import Drawing, JsonLinesSink, VideoSink
from br2net.runtime.backend import Backend, DeviceTimes, HostRequest, detect
from br2net.runtime.postprocessing import DEFAULT_OPACITY, Outputs, Wanted, overlay
from br2net.types import Frame, PixelFormat
from tests.fake_backend import FakeBackend
from tests.live.pipeline.conftest import FolderMaker


class WatchedRequest(HostRequest):
    """A request that notes what is asked of it, and computes only when it is finished if its backend enqueues."""

    def prepare(self, frames: Sequence[Frame], pixels: PixelFormat = PixelFormat.BGR) -> None:
        self._backend.note(1, len(frames), self.batch)
        super().prepare(frames, pixels)

    def run(self) -> None:
        if self._backend.depth == 1:
            super().run()

    def finish(self, wanted: Wanted = Wanted.MAP, *, opacity: float = DEFAULT_OPACITY) -> list[Outputs]:
        if self._backend.depth > 1:
            super().run()
        self._backend.wanted.append(wanted)
        self._backend.note(-1)
        return super().finish(wanted, opacity=opacity)

    def device_times(self) -> DeviceTimes | None:
        return DeviceTimes(1.0, 20.0, 3.0, 0.5) if self._backend.depth > 1 else None

    _backend: "WatchedBackend"  # type: ignore[assignment]


class WatchedBackend(FakeBackend):
    """Requests are in flight from `prepare` to `finish`; with a `depth` above one, `run` only enqueues."""

    def __init__(self, depth: int = 1, concurrency: int = 1, fails_at: int = -1) -> None:
        super().__init__(concurrency, fails_at=fails_at)
        self.depth = depth
        self.wanted: list[Wanted] = []
        self.prepared: list[tuple[int, int]] = []  # frames, and the batch size of the request
        self.in_flight = self.most_in_flight = 0
        self._noting = threading.Lock()

    def note(self, change: int, *prepared: int) -> None:
        with self._noting:
            self.in_flight += change
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            if prepared:
                self.prepared.append((prepared[0], prepared[1]))

    def _new_request(self, batch: int) -> HostRequest:
        return WatchedRequest(self, batch, lambda tensor: self.infer(tensor))


class Keeper:
    """A sink that keeps results; `wanted` are the outputs that it asks for, none for a sink that does not say."""

    def __init__(self, wanted: Wanted | None = None) -> None:
        self.results: list[FrameResult] = []
        if wanted is not None:
            self.wanted = wanted

    def write(self, result: FrameResult) -> None:
        self.results.append(result)

    def close(self) -> None:
        pass


def free_requests(backend: Backend, batch: int = 1) -> int:
    """Number of requests that can be had at once."""
    with ExitStack() as stack:
        held = 0
        while (request := backend.try_request(batch)) is not None:
            stack.callback(request.release)
            held += 1
        return held


def test_a_sink_that_reads_figures_alone_has_no_map_computed(make_folder: FolderMaker, tmp_path: Path) -> None:
    backend, keeper = WatchedBackend(), Keeper(Wanted.FRACTION)
    with Camera(make_folder(10, 200)) as camera:
        Pipeline([camera], backend).run([JsonLinesSink(tmp_path / "x.jsonl"), keeper])
    assert set(backend.wanted) == {Wanted.FRACTION}
    assert [result.blurred_fraction for result in keeper.results] == [0.0, 1.0]
    with pytest.raises(InputError, match=r"Wanted\.MAP"):
        _ = keeper.results[0].map


def test_a_sink_that_does_not_say_what_it_reads_gets_the_map(make_folder: FolderMaker) -> None:
    keeper = Keeper()
    with Camera(make_folder(10, 200)) as camera:
        Pipeline([camera], FakeBackend()).run([keeper])
    assert [round(float(result.map.mean()) * 255) for result in keeper.results] == [10, 200]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (PipelineOptions(), Wanted.FRACTION),
        (PipelineOptions(regions=(Region("a", 0.0, 0.0, 0.5, 0.5),)), Wanted.FRACTION | Wanted.MAP),
        (PipelineOptions(smooth_s=1.0), Wanted.MAP),
    ],
)
def test_regions_and_smoothing_need_the_map(make_folder: FolderMaker, options: PipelineOptions, wanted: Wanted) -> None:
    backend, keeper = WatchedBackend(), Keeper(Wanted.FRACTION)
    with Camera(make_folder(10, 200)) as camera:
        Pipeline([camera], backend, options).run([keeper])
    assert backend.wanted[1:] == [wanted] * 2  # the first is the warm-up
    assert 0.0 <= keeper.results[1].blurred_fraction <= 1.0


@pytest.mark.parametrize("smooth_s", [0.0, 1.0])
def test_an_overlay_is_that_of_the_map_and_is_made_while_finishing(
    tmp_path: Path, photograph: Frame, smooth_s: float
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for index, picture in enumerate((photograph, photograph[::-1])):
        cv2.imwrite(str(folder / f"{index}.png"), picture)
    keeper = Keeper()
    sinks = [VideoSink(tmp_path / "x.mp4", Drawing()), keeper]
    with Camera(folder) as camera:
        Pipeline([camera], FakeBackend(), PipelineOptions(smooth_s=smooth_s)).run(sinks)
    assert len(keeper.results) == 2
    for result in keeper.results:
        assert result.outputs.overlay is not None
        assert np.array_equal(result.outputs.overlay, overlay(result.frame, result.map))
        assert np.array_equal(Drawing().draw(result), result.outputs.overlay)


def test_with_smoothing_every_output_is_of_the_smoothed_map(make_folder: FolderMaker) -> None:
    keeper = Keeper(Wanted.MAP | Wanted.GREY | Wanted.HISTOGRAM)
    with Camera(make_folder(10, 200)) as camera:
        Pipeline([camera], FakeBackend(), PipelineOptions(smooth_s=0.1)).run([keeper])
    outputs = keeper.results[1].outputs
    assert outputs.grey is not None and outputs.histogram is not None
    level = round(float(keeper.results[1].map.mean()) * 255)
    assert 10 < level < 200
    assert set(np.unique(outputs.grey)) == {level} == set(np.flatnonzero(outputs.histogram))


@pytest.mark.parametrize("count", [1, 2])
def test_where_runs_are_enqueued_every_batch_has_one_size_and_few_are_in_flight(
    make_folder: FolderMaker, count: int
) -> None:
    backend = WatchedBackend(depth=2)
    cameras = [Camera(make_folder(*range(10, 60), name=f"cam{number}")) for number in range(count)]
    results = list(Pipeline(cameras, backend).results())
    for camera in cameras:
        camera.close()
        mine = [result for result in results if result.camera == camera.name]
        assert [round(float(result.map.mean()) * 255) for result in mine] == list(range(10, 60))
    assert {batch for _, batch in backend.prepared} == {count}
    assert set(backend.batch_sizes) == {count}  # padded where fewer cameras had a frame
    assert backend.most_in_flight == 2
    assert free_requests(backend, count) == backend.max_requests


def test_the_time_of_enqueued_inference_is_that_of_the_device(make_folder: FolderMaker) -> None:
    with Camera(make_folder(10, 20)) as camera:
        results = list(Pipeline([camera], WatchedBackend(depth=2)).results())
    assert [result.stages.inference for result in results] == [24.0, 24.0]
    assert all(result.stages.postprocess >= 0.0 for result in results)


def test_every_request_warms_up_before_the_first_frame_twice_where_runs_are_enqueued(make_folder: FolderMaker) -> None:
    for depth, batches in ((1, [1]), (2, [1] * 4)):
        backend = WatchedBackend(depth)
        with Camera(make_folder(10, name=f"depth{depth}")) as camera:
            list(Pipeline([camera], backend).results())
        assert [batch for _, batch in backend.prepared] == [*batches, 1]


@pytest.mark.parametrize("depth", [1, 3])
def test_no_request_is_lost_when_a_run_ends_early_or_fails(make_folder: FolderMaker, depth: int) -> None:
    backend = WatchedBackend(depth, concurrency=2 if depth == 1 else 1)
    folder = make_folder(*range(10, 60))
    for _ in range(2 * backend.max_requests):
        with Camera(folder) as camera:
            results = Pipeline([camera], backend).results()
            next(results)
            results.close()
    assert free_requests(backend) == backend.max_requests
    broken = WatchedBackend(depth, fails_at=3)
    with Camera(folder) as camera, pytest.raises(BackendError, match="broke"):
        Pipeline([camera], broken).run()
    assert free_requests(broken) == broken.max_requests
    region = PipelineOptions(regions=(Region("far", 500.0, 0.0, 10.0, 10.0),))
    with Camera(folder) as camera, pytest.raises(InputError, match="far"):
        Pipeline([camera], backend, region).run()
    assert free_requests(backend) == backend.max_requests


@pytest.mark.parametrize("formats", [[PixelFormat.NV12, PixelFormat.NV12], [PixelFormat.BGR, PixelFormat.NV12]])
def test_frames_in_the_format_of_the_camera_give_the_maps_of_their_pictures(
    photograph: Frame, formats: list[PixelFormat]
) -> None:
    nv12 = np.concatenate([np.full((64, 96), level, np.uint8) for level in (90, 128)])[:96]
    frames = [
        CapturedFrame(
            str(number), 0, 0.0, nv12 if pixels is PixelFormat.NV12 else photograph[:64, :96], 0.0, 0.0, pixels
        )
        for number, pixels in enumerate(formats)
    ]
    backend = FakeBackend()
    job = Job(0, frames, backend.request(2))
    job.prepare()
    job.run()
    results = Finisher(PipelineOptions(), Wanted.OVERLAY, 0, print).finish(job)
    for result, captured in zip(results, frames, strict=True):
        (expected,) = detect(backend, [captured.frame], Wanted.MAP | Wanted.FRACTION)
        assert expected.map is not None
        picture = overlay(captured.frame, expected.map)
        assert np.abs(Drawing().draw(result).astype(int) - picture).max() <= 2
        assert result.blurred_fraction == pytest.approx(expected.blurred_fraction, abs=0.01)
    assert free_requests(backend, 2) == backend.max_requests
