"""From cameras through one model to sinks, with all stages at work at once."""

import heapq
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial, reduce
from operator import or_

import numpy as np

from br2net.errors import InputError, SinkError
from br2net.live.buffer import Buffer
from br2net.live.camera import Camera
from br2net.live.pipeline.batcher import Batcher
from br2net.live.pipeline.options import PipelineOptions
from br2net.live.pipeline.result import FrameResult, Sink
from br2net.live.pipeline.stages import Finisher, Job
from br2net.live.pipeline.summary import RunStats, Summary
from br2net.runtime.backend import Backend
from br2net.runtime.postprocessing import Wanted

LARGEST_BATCH = 4  # where `run` blocks: the first frame of a batch waits for the last one


class Pipeline:
    """Cameras, one model, and what is asked of each frame.

    Capturing, preprocessing, inference and postprocessing each have threads; sinks are written to in the thread that calls
    `run`, where a window has to be. A frame is taken from its camera only when inference is about to have room for it, so
    that under DROP_OLDEST what is computed is recent, and under WAIT capturing is held up. On a GPU, `backend.depth` requests
    are in flight, all of one batch size; where `run` blocks, a batch is the frames that are ready.

    The pipeline owns neither cameras nor backend; close them afterwards. Use it once.

    Attributes:
        cameras: sources of frames.
        backend: model.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        backend: Backend,
        options: PipelineOptions | None = None,
        *,
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Put it together; `notice` is called with each failure of a camera or a sink that does not end the run.

        Raises:
            InputError: if there is no camera, or two have the same name.
        """
        names = [camera.name for camera in cameras]
        if not names or len(set(names)) < len(names):
            raise InputError("A pipeline needs cameras of different names." if names else "A pipeline needs a camera.")
        self.cameras = list(cameras)
        self.backend = backend
        self._options = options or PipelineOptions()
        self._notice = notice
        self._enqueues = backend.depth > 1
        largest = backend.largest_batch if self._enqueues else min(backend.largest_batch, LARGEST_BATCH)
        self._batch = min(len(cameras), largest)
        self._in_flight = backend.depth * backend.concurrency if self._enqueues else 1
        self._room = threading.Semaphore(self._in_flight)
        self._stats = RunStats()
        self._to_infer: Buffer[Job] = Buffer()
        self._to_finish: Buffer[Job] = Buffer()
        self._to_sinks: Buffer[FrameResult] = Buffer()
        self._batcher: Batcher | None = None
        self._inferring = backend.concurrency
        self._counting = threading.Lock()
        self._stopped = False
        self._error: BaseException | None = None

    def stop(self) -> None:
        """End the run soon: frames under way are given up. From any thread, also from a signal handler."""
        self._stopped = True
        if self._batcher is not None:
            self._batcher.stop()
        self._room.release()
        self._to_sinks.discard()
        for job in (*self._to_infer.discard(), *self._to_finish.discard()):
            job.request.release()

    def summary(self) -> Summary:
        """Figures up to now; from any thread."""
        return self._stats.summary({camera.name: camera.statistics for camera in self.cameras})

    def run(self, sinks: Sequence[Sink] = (), max_frames: int | None = None) -> Summary:
        """Write every result to all sinks, until the sources end, `stop` is called or `max_frames` results were written.

        Only what the sinks want is computed. They are closed at the end. One that fails is reported once, closed, and left
        out from there on.

        Raises:
            Br2netError: if a camera cannot be opened, the last one is lost for good, or the model fails.
        """
        working = list(sinks)
        wanted = reduce(or_, (getattr(sink, "wanted", Wanted.MAP) for sink in sinks), Wanted.FRACTION)
        with closing(self.results(max_frames, wanted)) as results:
            try:
                for result in results:
                    for sink in list(working):
                        if not self._succeeds(partial(sink.write, result)):
                            working.remove(sink)
                            self._succeeds(sink.close)
            finally:  # before the threads are joined, so that files are whole however long that takes
                for sink in working:
                    self._succeeds(sink.close)
        return self.summary()

    def results(self, max_frames: int | None = None, wanted: Wanted = Wanted.MAP) -> Generator[FrameResult]:
        """Yield results as they come, each camera's in order; at the end, also of a loop that is left, threads are joined.

        Args:
            max_frames: number of results to end after; None for all.
            wanted: outputs to compute.

        Raises:
            Br2netError: as `run`.
        """
        if self._batcher is not None:
            raise InputError("A pipeline runs once; make a new one.")
        self._warm_up()
        for camera in self.cameras:
            camera.open()
        self._batcher = Batcher(self.cameras, self._notice)
        threads = self._start_threads(self._batcher, wanted)
        try:
            while max_frames is None or self._stats.frames < max_frames:
                result = self._to_sinks.take()
                if result is None:
                    break
                yield self._deliver(result)
        finally:
            self.stop()
            for thread in threads:
                thread.join()
        if self._error is not None:
            raise self._error

    def _deliver(self, result: FrameResult) -> FrameResult:
        now = time.perf_counter()
        result = replace(result, latency_ms=(now - result.captured.captured_at) * 1000.0)
        if self._options.alerts is not None:
            result = replace(result, alerts=self._options.alerts.judge(result))
        self._stats.add(result, now)
        return result

    def _warm_up(self) -> None:
        """Compile for every batch size that may come, before live frames wait for it.

        A GPU's requests run twice each: the second time captures the graph.
        """
        backend = self.backend
        blank = np.zeros((backend.height, backend.width, 3), np.uint8)
        for size in (self._batch,) if self._enqueues else range(1, self._batch + 1):
            with ExitStack() as stack:
                requests = [stack.enter_context(backend.request(size))]
                while len(requests) < self._in_flight and (another := backend.try_request(size)) is not None:
                    requests.append(stack.enter_context(another))
                for request in requests * (2 if self._enqueues else 1):
                    request.prepare([blank] * size)
                    request.run()
                    request.finish(Wanted.FRACTION)

    def _start_threads(self, batcher: Batcher, wanted: Wanted) -> list[threading.Thread]:
        if self._options.alerts is not None:
            wanted |= getattr(self._options.alerts, "wanted", Wanted.MAP)
        finisher = Finisher(self._options, wanted, self.backend.threads, self._notice)
        bodies: list[tuple[str, Callable[[], None]]] = [("prepare", lambda: self._prepare_all(batcher))]
        bodies += [("infer", self._infer_all)] * self._inferring
        bodies += [("finish", lambda: self._finish_all(finisher))]
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

    def _prepare_all(self, batcher: Batcher) -> None:
        number = 0
        try:
            while self._room.acquire() and not self._stopped and (frames := batcher.next_batch(self._batch)):
                job = Job(number, frames, self.backend.request(self._batch if self._enqueues else len(frames)))
                self._do(job, job.prepare, self._to_infer)
                number += 1
        finally:
            self._to_infer.end()

    def _infer_all(self) -> None:
        while (job := self._to_infer.take()) is not None:
            if not self._enqueues:
                self._room.release()
            self._do(job, job.run, self._to_finish)
        with self._counting:
            self._inferring -= 1
            if self._inferring == 0:
                self._to_finish.end()

    def _do(self, job: Job, work: Callable[[], None], following: Buffer[Job]) -> None:
        """Do one stage's work on a job and hand it to the following stage; where that fails, release its request."""
        handed_over = False
        try:
            work()
            handed_over = following.put(job)
        finally:
            if not handed_over:
                job.request.release()

    def _finish_all(self, finisher: Finisher) -> None:
        waiting: list[tuple[int, Job]] = []  # of several inference threads one may overtake another
        next_number = 0
        try:
            while (job := self._to_finish.take()) is not None:
                heapq.heappush(waiting, (job.number, job))
                while waiting and waiting[0][0] == next_number:
                    _, job = heapq.heappop(waiting)
                    next_number += 1
                    results = finisher.finish(job)
                    if self._enqueues:
                        self._room.release()
                    for result in results:
                        self._to_sinks.put(result)
        finally:
            for _, job in waiting:
                job.request.release()
            self._to_sinks.end()

    def _succeeds(self, call: Callable[[], None]) -> bool:
        """Call a sink; report what it raises."""
        try:
            call()
        except SinkError as error:
            self._notice(str(error))
            return False
        return True
