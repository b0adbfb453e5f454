"""A bulk run, from the names of sources to a summary."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from br2net.bulk.filesystems import open_filesystem, to_url
from br2net.bulk.options import BulkOptions, ClusterOptions, ModelChoice
from br2net.bulk.output import Output
from br2net.bulk.sources import Chunk, find_chunks, without_done
from br2net.bulk.worker import Worker

if TYPE_CHECKING:
    from br2net.bulk.cluster import RayWorkers

Progress = Callable[[int, int | None], None]  # rows written so far; of how many, where that is known


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes:
        images: rows that this run wrote, those with errors among them.
        errors: of these, with an error.
        done_before: image files, videos and row groups that an earlier run had done.
        seconds: that it took, loading the model and listing the sources included.
        model: as in the rows.
    """

    images: int
    errors: int
    done_before: int
    seconds: float
    model: str


def run_bulk(
    sources: Sequence[str],
    output: str,
    choice: ModelChoice | None = None,
    options: BulkOptions | None = None,
    cluster: ClusterOptions | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Score every image of the sources into Parquet parts in a folder; what is there already is not done again.

    Args:
        sources: files, folders, patterns, videos, Parquet files; paths or fsspec URLs.
        output: folder, a path or an fsspec URL. Only this process writes to it.
        choice: the model.
        options: what is written.
        cluster: Ray; None for this process alone.
        progress: called after each group of rows.

    Raises:
        InputError: if a source or the output cannot be used, or the output holds results of other settings.
        BackendError: if the model or Ray fails; rows done until then are kept.
    """
    began = time.perf_counter()
    choice, options = choice or ModelChoice(), options or BulkOptions()
    filesystem, path = open_filesystem(output)
    listed = list(find_chunks(sources, options.column, to_url(filesystem, path)))
    with closing(_workers(choice, options, cluster)) as workers:
        settings = {"model": workers.model, **_settings(options)}
        place = Output(output, settings, options.retry_errors)
        chunks = list(without_done(listed, place.is_done, place.is_finished))
        left = _count(chunks)
        expected = None if any(chunk.kind != "images" for chunk in chunks) else left
        try:
            for result in workers.run(chunks):
                place.add(result)
                if progress is not None:
                    progress(place.written, expected)
        finally:
            place.close()
    seconds = time.perf_counter() - began
    return Summary(place.written, place.errors, _count(listed) - left, seconds, workers.model)


def _workers(choice: ModelChoice, options: BulkOptions, cluster: ClusterOptions | None) -> "Worker | RayWorkers":
    if cluster is None:
        return Worker(choice, options)
    from br2net.bulk.cluster import RayWorkers

    return RayWorkers(choice, options, cluster)


def _settings(options: BulkOptions) -> dict[str, Any]:
    """What must be the same in every run into one folder."""
    return {"grid": options.grid, "maps": options.maps, "every_seconds": options.every_seconds}


def _count(chunks: list[Chunk]) -> int:
    return sum(len(chunk.urls) for chunk in chunks)
