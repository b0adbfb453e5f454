"""From cameras through one model to sinks, with all stages at work at once."""

import heapq
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from br2net.errors import InputError, SinkError
from br2net.live.camera.camera import Camera
from br2net.live.pipeline.channel import Channel
from br2net.live.pipeline.gathering import Gatherer
from br2net.live.pipeline.options import PipelineOptions
from br2net.live.pipeline.result import FrameResult
from br2net.live.pipeline.stages import Finished, Finisher, Job, infer, prepare
from br2net.live.pipeline.summary import Summary, Tally
from br2net.runtime.backend import Backend

if TYPE_CHECKING:
    from br2net.live.sinks.sink import Sink  # which itself builds on the results of this package

LARGEST_BATCH = 4


class Pipeline:
    """Cameras, one model, and what is asked of each frame.

    Capturing, preprocessing, inference and postprocessing each have threads; sinks are written to in the thread that calls
    `run`, where a window has to be. Few frames are under way: a frame is taken from its camera only when inference is
    about to have room for it, so that under DROP_OLDEST what is computed is recent, and under WAIT capturing is held up.

    The pipeline owns neither cameras nor backend: whoever made them closes them. Use it once.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        backend: Backend,
        options: PipelineOptions | None = None,
        *,
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Put it together; `notice` is told, once each, what went wrong with a camera or a sink while the rest goes on.

        Raises:
            InputError: if there is no camera, or two have the same name.
        """
        names = [camera.name for camera in cameras]
        if not names or len(set(names)) < len(names):
            raise InputError("A pipeline needs cameras of different names." if names else "A pipeline needs a camera.")
        self._cameras = list(cameras)
        self._backend = backend
        self._options = options or PipelineOptions()
        self._notice = notice
        self._batch = min(backend.fixed_batch or LARGEST_BATCH, LARGEST_BATCH)
        self._tally = Tally()
        self._to_infer: Channel[Job] = Channel(1)
        self._to_finish: Channel[Job] = Channel(1)
        self._to_sinks: Channel[Finished] = Channel(1)
        self._gatherer: Gatherer | None = None
        self._inferring = 0
        self._counting = threading.Lock()
        self._error: BaseException | None = None

    def stop(self) -> None:
        """End the run soon: frames under way are given up. From any thread, also from a signal handler's."""
        if self._gatherer is not None:
            self._gatherer.stop()
        for channel in (self._to_infer, self._to_finish, self._to_sinks):
            channel.end(discard=True)

    def summary(self) -> Summary:
        """Figures up to now; from any thread."""
        return self._tally.summary({camera.name: camera.statistics for camera in self._cameras})

    def run(self, sinks: "Sequence[Sink]" = (), max_frames: int | None = None) -> Summary:
        """Write every result to all sinks, until the sources end, `stop` is called or `max_frames` results were written.

        The sinks are closed at the end. One that fails is told of once, closed, and left out from there on.

        Raises:
            Br2netError: if a camera cannot be opened, the last one is lost for good, or the model fails.
        """
        working = list(sinks)
        with closing(self.results(max_frames)) as results:
            try:
                for result in results:
                    for sink in list(working):
                        self._write(result, sink, working)
            finally:  # before the threads are joined, so that files are whole however long that takes
                for sink in working:
                    self._close(sink)
        return self.summary()

    def results(self, max_frames: int | None = None) -> Generator[FrameResult]:
        """Give results as they come, each camera's in order; at the end, also of a loop that is left, threads are joined.

        Raises:
            Br2netError: as `run`.
        """
        if self._gatherer is not None:
            raise InputError("A pipeline runs once; make a new one.")
        self._warm_up()
        for camera in self._cameras:
            camera.open()
        self._gatherer = Gatherer(self._cameras, self._notice)
        threads = self._start_threads(self._gatherer)
        try:
            while max_frames is None or self._tally.frames < max_frames:
                finished = self._to_sinks.get()
                if finished is None:
                    break
                yield self._deliver(finished)
        finally:
            self.stop()
            for thread in threads:
                thread.join()
        if self._error is not None:
            raise self._error

    def _deliver(self, finished: Finished) -> FrameResult:
        now = time.perf_counter()
        result = replace(finished.result, latency_ms=(now - finished.captured_at) * 1000.0)
        if self._options.alerts is not None:
            result = replace(result, alerts=self._options.alerts.judge(result))
        self._tally.add(result, now)
        return result

    def _warm_up(self) -> None:
        """Compile for every batch size that may come, before live frames wait for it."""
        backend = self._backend
        for count in range(1, min(len(self._cameras), self._batch) + 1):
            backend.infer(np.zeros((count, 3, backend.height, backend.width), np.float32))

    def _start_threads(self, gatherer: Gatherer) -> list[threading.Thread]:
        self._inferring = count = self._backend.concurrency
        bodies: list[tuple[str, Callable[[], None]]] = [("prepare", lambda: self._prepare_all(gatherer))]
        bodies += [("infer", self._infer_all)] * count
        bodies += [("finish", self._finish_all)]
        threads = [threading.Thread(target=self._guarded, args=(body,), name=name) for name, body in bodies]
        for thread in threads:
            thread.start()
        return threads

    def _guarded(self, body: Callable[[], None]) -> None:
        """Run a stage; what it raises ends the pipeline and is raised again where the results are taken."""
        try:
            body()
        except BaseException as error:  # also what is no error of ours: it belongs to the caller's thread
            self._error = self._error or error
            self.stop()

    def _prepare_all(self, gatherer: Gatherer) -> None:
        number = 0
        try:
            while self._to_infer.wait_for_room() and (frames := gatherer.gather(self._batch)):
                self._to_infer.put(prepare(number, frames, self._backend))
                number += 1
        finally:
            self._to_infer.end()

    def _infer_all(self) -> None:
        while (job := self._to_infer.get()) is not None:
            infer(job, self._backend)
            self._to_finish.put(job)
        with self._counting:
            self._inferring -= 1
            is_last = self._inferring == 0
        if is_last:
            self._to_finish.end()

    def _finish_all(self) -> None:
        finisher = Finisher(self._options, self._notice)
        waiting: list[tuple[int, Job]] = []  # of several inference threads one may overtake another
        next_number = 0
        while (job := self._to_finish.get()) is not None:
            heapq.heappush(waiting, (job.number, job))
            while waiting and waiting[0][0] == next_number:
                _, job = heapq.heappop(waiting)
                next_number += 1
                for item in finisher.finish(job):
                    self._to_sinks.put(item)
        self._to_sinks.end()

    def _write(self, result: FrameResult, sink: "Sink", working: "list[Sink]") -> None:
        try:
            sink.write(result)
        except SinkError as error:
            self._notice(str(error))
            working.remove(sink)
            self._close(sink)

    def _close(self, sink: "Sink") -> None:
        try:
            sink.close()
        except SinkError as error:
            self._notice(str(error))
