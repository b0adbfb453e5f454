"""The same work through Ray Data, on a running cluster or on one started here for the run."""

import logging
import os
import pickle
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from br2net.bulk.options import BulkOptions, ClusterOptions, ModelChoice
from br2net.bulk.row import Result, Row
from br2net.bulk.sources import Chunk
from br2net.bulk.worker import Worker
from br2net.errors import BackendError, Br2netError, MissingDependencyError
from br2net.zoo import find_model

CARELESS_ATTEMPTS = 3  # of one chunk whose worker died; Ray itself tries without end
MOST_BLOCKS = 4096
CONNECT_SECONDS = 10.0


class RayWorkers:
    """Workers on a Ray cluster. Rows come back to this process, so that it alone writes to the output.

    Sources must have the same path or URL on every node. The model file travels with the work.
    """

    def __init__(self, choice: ModelChoice, options: BulkOptions, cluster: ClusterOptions) -> None:
        """Connect, or start Ray here, and load the model once on the cluster.

        Raises:
            MissingDependencyError: if Ray is not installed.
            BackendError: if there is no cluster at the address, or none of its nodes can load the model.
        """
        self._options, self._cluster = options, cluster
        self._module, self._started = _connect(cluster.address)
        from ray import cloudpickle

        self._share = {"num_cpus": choice.threads or 1, "num_gpus": cluster.gpus}
        choice = replace(choice, threads=choice.threads or 1)
        self._files = self._module.put(_files_of(choice))  # kept as long as an actor may start
        self._arguments = (cloudpickle.dumps(self._files), choice, options)
        try:
            describe = self._module.remote(**self._share)(_describe)
            self.model = str(self._module.get(describe.remote(*self._arguments)))
        except BaseException as error:
            self.close()
            raise _readable(error) from error

    def run(self, chunks: Iterable[Chunk]) -> Iterator[Result]:
        """Rows of all images of the chunks, as they come. What a dead node had not handed over is done by another."""
        ray = self._module
        items = [{"chunk": pickle.dumps(chunk)} for chunk in chunks]
        if not items:
            return
        fitting = _fitting(ray.cluster_resources(), self._share)
        most = max(1, min(self._cluster.workers or fitting, fitting, len(items)))
        data = ray.data.from_items(items, override_num_blocks=min(len(items), MOST_BLOCKS))
        attempts = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Attempts).remote()
        data = data.map_batches(
            RayWorker,
            fn_constructor_args=(attempts, *self._arguments),
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most, initial_size=most),
            **self._share,
        )
        try:
            for table in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
                yield from map(pickle.loads, table["result"].to_pylist())
        except Exception as error:
            raise _readable(error) from error

    def close(self) -> None:
        """Disconnect, and stop Ray where it was started for this run."""
        if self._started:
            self._module.shutdown()
            self._started = False


class Attempts:
    """Counts, for all workers, how often each piece of work was begun and not ended. It is an actor of its own."""

    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()

    def begin(self, name: str) -> int:
        """Count one more; gives how often it was begun since it ended last."""
        self._begun[name] += 1
        return self._begun[name]

    def end(self, name: str) -> None:
        """Forget it: the worker has survived."""
        del self._begun[name]


class RayWorker:
    """A `Worker` inside a Ray actor."""

    def __init__(self, attempts: Any, files: bytes, choice: ModelChoice, options: BulkOptions) -> None:
        self._attempts = attempts
        self._worker = _make_worker(files, choice, options)

    def __call__(self, batch: Any) -> Iterator[Any]:
        """Tables of one result each, pickled."""
        import pyarrow as pa
        import ray

        def begin(name: str) -> int:
            return int(ray.get(self._attempts.begin.remote(name)))

        for data in batch["chunk"].to_pylist():
            for result in run_carefully(self._worker, pickle.loads(data), begin, self._attempts.end.remote):
                yield pa.table({"result": [pickle.dumps(result)]})


def run_carefully(
    worker: Worker, chunk: Chunk, begin: Callable[[str], int], end: Callable[[str], object]
) -> Iterator[Result]:
    """Do a chunk; from its fourth attempt on image by image, so that one which kills its worker becomes a row with an error.

    Args:
        worker: does the work.
        chunk: the work.
        begin: `Attempts.begin`, which counts for workers that have died as well.
        end: `Attempts.end`.
    """
    if begin(repr(chunk)) <= CARELESS_ATTEMPTS:
        yield from worker.run([chunk])
        end(repr(chunk))
        return
    for url in chunk.urls:
        if chunk.kind != "images" or begin(url) > 1:
            row = Row(url, model=worker.model, error=f"The worker died at {url}, time after time.")
            yield Result((row,), (None,), (chunk.name,) if chunk.name else ())
        else:
            yield from worker.run([Chunk("images", (url,))])
            end(url)


def _connect(address: str) -> tuple[Any, bool]:
    """Ray, and whether it was connected here."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingDependencyError("Ray is not installed; `pip install 'br2net[bulk]'` brings it.") from error
    started = not ray.is_initialized()
    if started:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        local: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
        _refuse_silent(address)
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **local)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise BackendError(f"There is no Ray cluster at {address}: {_first_line(error)}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what goes wrong is raised, and said once
    return ray, started


def _refuse_silent(address: str) -> None:
    """Ray itself waits for minutes where nobody listens.

    Raises:
        BackendError: if nobody listens at a `host:port` or `ray://host:port`.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise BackendError(f"There is no Ray cluster at {address}: {error}.") from error


def _fitting(resources: dict[str, float], share: dict[str, float]) -> int:
    names = {"num_cpus": "CPU", "num_gpus": "GPU"}
    return int(min(resources.get(names[name], 0.0) // amount for name, amount in share.items() if amount))


def _files_of(choice: ModelChoice) -> dict[str, bytes]:
    """The model file and what stands beside it, so that no node needs it on its disk."""
    if "://" in choice.model:
        return {}
    path = find_model(choice.model)
    return {item.name: item.read_bytes() for item in (path, path.with_name(f"{path.name}.json")) if item.is_file()}


def _make_worker(reference: bytes, choice: ModelChoice, options: BulkOptions) -> Worker:
    """A worker, from the reference of the model's files; it is pickled, so that nothing resolves it on the way."""
    import ray
    from ray import cloudpickle

    files: dict[str, bytes] = ray.get(cloudpickle.loads(reference))
    if not files:
        return Worker(choice, options)
    with tempfile.TemporaryDirectory(prefix="br2net-") as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        return Worker(replace(choice, model=str(Path(folder) / next(iter(files)))), options)


def _describe(files: bytes, choice: ModelChoice, options: BulkOptions) -> str:
    worker = _make_worker(files, choice, options)
    worker.close()
    return worker.model


def _readable(error: BaseException) -> BaseException:
    """The error of this package inside one of Ray's, or one sentence about Ray's."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Br2netError | KeyboardInterrupt):
            return cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    return BackendError(f"Ray could not go on: {_first_line(error)} What is done is kept; run again to go on.")


def _first_line(error: BaseException) -> str:
    error = getattr(error, "cause", None) or error  # of a RayTaskError, whose own text is a traceback
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".") + "."
