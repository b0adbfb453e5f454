"""The same work through Ray Data, on a running cluster or on one started here for the run."""

import logging
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from br2net.bulk.options import BulkOptions, ClusterOptions, ModelChoice
from br2net.bulk.row import Result, Row, schema, to_table
from br2net.bulk.sources import Chunk
from br2net.bulk.worker import Worker
from br2net.errors import BackendError, Br2netError, MissingDependencyError
from br2net.zoo import find_model

RETRIES = 4  # of one chunk whose worker died; an image that kills its worker every time stops the run
MOST_BLOCKS = 4096


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
        items = [{"chunk": chunk.to_json()} for chunk in chunks]
        if not items:
            return
        fitting = _fitting(ray.cluster_resources(), self._share)
        most = max(1, min(self._cluster.workers or fitting, fitting, len(items)))
        data = ray.data.from_items(items, override_num_blocks=min(len(items), MOST_BLOCKS))
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # without the limit of retries, which Ray will name otherwise, they have no end
            data = data.map_batches(
                RayWorker,
                fn_constructor_args=self._arguments,
                batch_size=1,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most, initial_size=most),
                max_task_retries=RETRIES,
                **self._share,
            )
        try:
            for table in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
                yield _from_table(table)
        except Exception as error:
            raise _readable(error) from error

    def close(self) -> None:
        """Disconnect, and stop Ray where it was started for this run."""
        if self._started:
            self._module.shutdown()
            self._started = False


class RayWorker:
    """A `Worker` inside a Ray actor."""

    def __init__(self, files: bytes, choice: ModelChoice, options: BulkOptions) -> None:
        self._worker = _make_worker(files, choice, options)

    def __call__(self, batch: Any) -> Iterator[Any]:
        """Tables of rows of one chunk."""
        chunks = [Chunk.from_json(text) for text in batch["chunk"].to_pylist()]
        for result in self._worker.run(chunks):
            yield _to_table(result)


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
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **local)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise BackendError(f"There is no Ray cluster at {address}: {_first_line(error)}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what goes wrong is raised, and said once
    return ray, started


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
    """A worker, from the pickled reference of the model's files: Ray warns of references among an actor's arguments."""
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


def _to_table(result: Result) -> Any:
    """Rows as a table, with two columns more: the maps, and what is finished in an extra row without an image."""
    import pyarrow as pa

    rows = [*result.rows, Row("")]
    table = to_table(rows)
    table = table.append_column("png", pa.array([*result.maps, None], pa.binary()))
    finished: list[list[str]] = [[]] * len(result.rows) + [list(result.finished)]
    return table.append_column("finished", pa.array(finished, pa.list_(pa.string())))


def _from_table(table: Any) -> Result:
    names = schema().names
    rows, maps = [], []
    finished: list[str] = []
    for item in table.to_pylist():
        finished += item["finished"] or []
        if not item["image"]:
            continue
        cells = item["sharpness"]
        rows.append(Row(**{name: item[name] for name in names} | {"sharpness": tuple(cells) if cells else None}))
        maps.append(item["png"])
    return Result(tuple(rows), tuple(maps), tuple(finished))


def _readable(error: BaseException) -> BaseException:
    """The error of this package inside one of Ray's, or one sentence about Ray's."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Br2netError | KeyboardInterrupt):
            return cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    return BackendError(f"Ray could not go on: {_first_line(error)} What is done is kept; run again to go on.")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".") + "."
