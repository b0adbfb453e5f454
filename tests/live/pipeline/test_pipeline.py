import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from br2net.errors import BackendError, CameraError, InputError, SinkError
from br2net.live.camera import BufferPolicy, Camera, CameraOptions
from br2net.live.pipeline import FrameResult, Pipeline, PipelineOptions, Region
from tests.fake_backend import FakeBackend
from tests.live.pipeline.conftest import FolderMaker
from tests.mjpeg_server import MjpegServer, jpeg

STAGES = {"prepare", "infer", "finish"}


class Collected:
    """A sink that keeps what it gets, and fails at the result with number `fails_at`."""

    def __init__(self, fails_at: int = -1) -> None:
        self.results: list[FrameResult] = []
        self.closed = 0
        self._fails_at = fails_at

    def write(self, result: FrameResult) -> None:
        if len(self.results) == self._fails_at:
            raise SinkError("The disk is full.")
        self.results.append(result)

    def close(self) -> None:
        self.closed += 1


def stage_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()} & STAGES


def levels(results: Sequence[FrameResult]) -> list[int]:
    return [round(float(result.map.mean()) * 255.0) for result in results]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_every_frame_of_a_folder_comes_in_order_with_its_own_map(make_folder: FolderMaker, concurrency: int) -> None:
    wanted = list(range(10, 250, 10))
    sink = Collected()
    with Camera(make_folder(*wanted)) as camera:
        summary = Pipeline([camera], FakeBackend(concurrency)).run([sink])
    assert levels(sink.results) == wanted
    assert [result.index for result in sink.results] == list(range(len(wanted)))
    assert (summary.frames, summary.dropped, sink.closed) == (len(wanted), 0, 1)


def test_a_batch_that_overtakes_another_waits_for_it(make_folder: FolderMaker) -> None:
    class Overtaking(FakeBackend):
        def infer(self, batch: np.ndarray) -> np.ndarray:
            first = batch.any() and round(float(batch.mean()) * 255.0) == 10
            maps = super().infer(batch)
            if first:
                assert self.overtaken.wait(20.0)
            elif batch.any():
                self.overtaken.set()
            return maps

        overtaken = threading.Event()

    with Camera(make_folder(10, 20, 30)) as camera:
        results = list(Pipeline([camera], Overtaking(concurrency=2)).results())
    assert levels(results) == [10, 20, 30]


def test_frames_that_are_ready_together_are_one_batch(make_folder: FolderMaker) -> None:
    cameras = [Camera(make_folder(*[level] * 4, name=f"cam{level}")) for level in (50, 100, 200)]
    backend = FakeBackend()
    for camera in cameras:
        camera.open()
    while any(camera.statistics.captured < 4 for camera in cameras):  # until each buffer (of three) is full
        time.sleep(0.001)
    results = list(Pipeline(cameras, backend).results())
    assert backend.batch_sizes[0] == 3
    assert sum(backend.batch_sizes) == 12
    for camera, level in zip(cameras, (50, 100, 200), strict=True):
        mine = [result for result in results if result.camera == camera.name]
        assert [result.index for result in mine] == [0, 1, 2, 3]
        assert set(levels(mine)) == {level}
        camera.close()


def test_a_model_of_a_fixed_batch_gets_no_more_frames_at_once(make_folder: FolderMaker) -> None:
    backend = FakeBackend()
    backend.fixed_batch = 1
    with Camera(make_folder(10, 20, name="a")) as one, Camera(make_folder(30, 40, name="b")) as other:
        assert len(list(Pipeline([one, other], backend).results())) == 4
    assert backend.batch_sizes == [1, 1, 1, 1]


def test_a_source_faster_than_the_engine_gives_recent_frames_and_counts_the_others() -> None:
    backend = FakeBackend(paced=True)
    options = CameraOptions(policy=BufferPolicy.DROP_OLDEST, skip=False)
    with MjpegServer() as server, Camera(server.url, options) as camera:
        pipeline, sink = Pipeline([camera], backend), Collected()
        runner = threading.Thread(target=pipeline.run, args=([sink],))
        runner.start()
        server.send(jpeg(level=10))
        backend.wait_for_call()  # the engine is busy with frame 0
        server.send(*(jpeg(level=10 + index) for index in range(1, 50)), b"damaged")
        while camera.statistics.damaged < 1:  # then all before it are through
            time.sleep(0.001)
        backend.permits.release(3)
        while not sink.results or sink.results[-1].index < 49:
            time.sleep(0.001)
        pipeline.stop()
        runner.join()
        dropped = camera.statistics.dropped
    assert sink.results[0].index == 0
    assert len(sink.results) in (2, 3)  # perhaps one that was taken while the engine was busy
    assert len(sink.results) + dropped == 50


def test_an_engine_that_cannot_keep_up_is_given_frames_evenly_and_the_summary_says_so() -> None:
    backend = FakeBackend(paced=True)
    with MjpegServer() as server, Camera(server.url) as camera:
        pipeline = Pipeline([camera], backend)
        runner = threading.Thread(target=pipeline.run)
        runner.start()
        server.send(jpeg(level=10))
        backend.wait_for_call()  # from here on the engine takes no frame
        server.send(*[jpeg(level=20)] * 300)
        while camera.statistics.captured < 301:
            time.sleep(0.001)
        backend.permits.release(3)
        pipeline.stop()
        runner.join()
        summary = pipeline.summary()
    assert summary.skipped > 100
    assert summary.dropped >= 25  # of the first thirty, before it was noticed
    assert summary.cameras[camera.name].stride > 1


def test_a_source_slower_than_the_engine_loses_nothing() -> None:
    with MjpegServer() as server, Camera(server.url) as camera:
        results = Pipeline([camera], FakeBackend()).results()
        for index in range(10):
            server.send(jpeg(level=20 * index + 10))
            assert next(results).index == index
        results.close()
        assert camera.statistics.dropped == 0


def test_a_change_of_size_in_the_stream_gives_maps_of_the_new_size() -> None:
    with MjpegServer() as server, Camera(server.url) as camera:
        results = Pipeline([camera], FakeBackend(), PipelineOptions(smooth_s=1.0)).results()
        shapes = []
        for width, height in ((64, 48), (32, 80), (64, 48)):
            server.send(jpeg(width, height))
            shapes.append(next(results).map.shape)
        results.close()
    assert shapes == [(48, 64), (80, 32), (48, 64)]


def test_a_server_that_dies_and_comes_back_does_not_end_the_run() -> None:
    options = CameraOptions(backoff_s=0.01, longest_backoff_s=0.05)
    with MjpegServer() as server, Camera(server.url, options) as camera:
        pipeline = Pipeline([camera], FakeBackend())
        results = pipeline.results()
        server.send(jpeg(level=50))
        assert levels([next(results)]) == [50]
        server.kill()
        with MjpegServer(server.port) as again:
            again.wait_for_client()
            again.send(jpeg(level=150))
            assert levels([next(results)]) == [150]
        results.close()
        assert pipeline.summary().reconnects >= 1


def test_a_sink_that_fails_is_told_of_once_and_the_others_go_on(make_folder: FolderMaker) -> None:
    failing, working = Collected(fails_at=2), Collected()
    notices: list[str] = []
    with Camera(make_folder(*range(10, 20))) as camera:
        Pipeline([camera], FakeBackend(), notice=notices.append).run([failing, working])
    assert (len(failing.results), failing.closed) == (2, 1)
    assert (len(working.results), working.closed) == (10, 1)
    assert notices == ["The disk is full."]


def test_an_engine_that_fails_ends_the_run_with_its_error_and_closes_the_sinks(make_folder: FolderMaker) -> None:
    sink = Collected()
    with Camera(make_folder(*range(10, 20))) as camera, pytest.raises(BackendError, match="broke"):
        Pipeline([camera], FakeBackend(fails_at=4)).run([sink])
    assert sink.closed == 1 and not stage_threads()


def test_leaving_the_results_early_joins_all_threads(make_folder: FolderMaker) -> None:
    with Camera(make_folder(*range(10, 60))) as camera:
        results = Pipeline([camera], FakeBackend(2)).results()
        next(results)
        assert stage_threads() == STAGES
        results.close()
        assert not stage_threads()


def test_stop_ends_a_run_that_waits_for_a_silent_camera() -> None:
    with MjpegServer() as server, Camera(server.url, CameraOptions(timeout_s=60.0)) as camera:
        pipeline = Pipeline([camera], FakeBackend())
        sink = Collected()
        runner = threading.Thread(target=pipeline.run, args=([sink],))
        runner.start()
        server.send(jpeg())
        while not sink.results:
            time.sleep(0.001)
        pipeline.stop()
        runner.join(20.0)
        assert not runner.is_alive() and sink.closed == 1 and not stage_threads()


def test_max_frames_ends_the_run(make_folder: FolderMaker) -> None:
    with Camera(make_folder(*range(10, 60))) as camera:
        assert Pipeline([camera], FakeBackend()).run(max_frames=7).frames == 7


def test_one_camera_that_is_lost_for_good_is_told_of_while_the_other_goes_on(make_folder: FolderMaker) -> None:
    server = MjpegServer()
    options = CameraOptions(policy=BufferPolicy.WAIT, backoff_s=0.0, longest_backoff_s=0.01, give_up_s=0.0)
    notices: list[str] = []
    told = threading.Event()

    def notice(text: str) -> None:
        notices.append(text)
        told.set()

    with Camera(server.url, options) as lost, MjpegServer() as other, Camera(other.url, name="other") as living:
        results = Pipeline([lost, living], FakeBackend(), notice=notice).results()
        other.send(jpeg(level=90))
        assert levels([next(results)]) == [90]
        server.kill()
        assert told.wait(20.0)
        other.send(jpeg(level=91))
        assert levels([next(results)]) == [91]
        results.close()
    assert len(notices) == 1 and "did not come back" in notices[0]


def test_the_only_camera_lost_for_good_is_an_error() -> None:
    server = MjpegServer()
    options = CameraOptions(backoff_s=0.0, longest_backoff_s=0.01, give_up_s=0.0)
    with Camera(server.url, options) as camera:
        server.kill()
        with pytest.raises(CameraError, match="did not come back"):
            Pipeline([camera], FakeBackend()).run()


def test_fractions_of_frame_and_regions_are_what_numpy_counts(tmp_path: Path, photograph: np.ndarray) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), photograph)
    regions = (Region("left", 0.0, 0.0, 0.5, 1.0), Region("spot", 20.0, 10.0, 40.0, 30.0))
    with Camera(tmp_path) as camera:
        (result,) = Pipeline([camera], FakeBackend(), PipelineOptions(regions=regions)).results()
    assert result.blurred_fraction == np.mean(result.map >= 0.5)
    assert result.regions == {
        "left": np.mean(result.map[:, :75] >= 0.5),
        "spot": np.mean(result.map[10:40, 20:60] >= 0.5),
    }
    assert result.region_sharpness.keys() == result.regions.keys()


def test_a_region_outside_the_first_frame_is_refused(make_folder: FolderMaker) -> None:
    options = PipelineOptions(regions=(Region("far", 500.0, 0.0, 10.0, 10.0),))
    with Camera(make_folder(10)) as camera, pytest.raises(InputError, match="far"):
        Pipeline([camera], FakeBackend(), options).run()


def test_alerts_are_asked_once_for_each_frame_in_order(make_folder: FolderMaker) -> None:
    class Dark:
        def __init__(self) -> None:
            self.asked: list[int] = []

        def judge(self, result: FrameResult) -> tuple[str, ...]:
            self.asked.append(result.index)
            return ("dark",) if result.blurred_fraction < 0.5 else ()

    judge = Dark()
    with Camera(make_folder(10, 200, 20)) as camera:
        results = list(Pipeline([camera], FakeBackend(), PipelineOptions(alerts=judge)).results())
    assert [result.alerts for result in results] == [("dark",), (), ("dark",)]
    assert judge.asked == [0, 1, 2]


def test_latency_covers_the_stages(make_folder: FolderMaker) -> None:
    with Camera(make_folder(10, 20)) as camera:
        for result in Pipeline([camera], FakeBackend()).results():
            times = result.stages
            assert 0.0 < times.capture + times.preprocess + times.inference + times.postprocess <= result.latency_ms


def test_what_a_result_holds_cannot_be_written_to_by_a_sink(make_folder: FolderMaker) -> None:
    with Camera(make_folder(10)) as camera:
        (result,) = Pipeline([camera], FakeBackend()).results()
    with pytest.raises(ValueError, match="read-only"):
        result.map[0, 0] = 1.0


def test_a_pipeline_runs_once_and_needs_cameras_of_different_names(make_folder: FolderMaker) -> None:
    folder = make_folder(10)
    with pytest.raises(InputError):
        Pipeline([], FakeBackend())
    with pytest.raises(InputError):
        Pipeline([Camera(folder), Camera(folder)], FakeBackend())
    with Camera(folder) as camera:
        pipeline = Pipeline([camera], FakeBackend())
        pipeline.run()
        with pytest.raises(InputError, match="once"):
            pipeline.run()
