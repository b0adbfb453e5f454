"""From chunks of work to decoded images, some of them read ahead by threads."""

import hashlib
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from br2net.bulk.filesystems import is_local, open_filesystem
from br2net.bulk.sources import Chunk, beside
from br2net.errors import ImageError, InputError
from br2net.live.camera import every_frame, open_video
from br2net.runtime.images import decode_image
from br2net.types import Frame

ROWS_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class Loaded:
    """One image with what is known of it before detection; `frame` is None where `error` says why."""

    image: str
    index: int | None = None
    seconds: float | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    frame: Frame | None = None
    error: str | None = None


@dataclass(frozen=True)
class End:
    """A video or a row group was read to its end."""

    name: str


Job = Callable[[], "Loaded | End"]


def read_all(chunks: Iterable[Chunk], every_seconds: float, readers: int) -> Iterator[Loaded | End]:
    """Read and decode, in order; `readers` threads read ahead twice as many images.

    What cannot be read is a `Loaded` with an error.
    """
    with ThreadPoolExecutor(readers, thread_name_prefix="br2net-read") as pool:
        waiting: deque[Future[Loaded | End]] = deque()
        for chunk in chunks:
            for job in _jobs(chunk, every_seconds):
                waiting.append(pool.submit(job))
                if len(waiting) > 2 * readers:
                    yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _jobs(chunk: Chunk, every_seconds: float) -> Iterator[Job]:
    if chunk.kind == "images":
        for url in chunk.urls:
            yield partial(_read, url)
        return
    url = chunk.urls[0]
    items = _video(url, every_seconds) if chunk.kind == "video" else _rows(chunk)
    try:
        yield from items
    except InputError as error:
        failed = Loaded(url, error=str(error))
        yield lambda: failed
    yield lambda: End(chunk.name)


def _read(url: str) -> Loaded:
    try:
        filesystem, path = open_filesystem(url)
        data: bytes = filesystem.cat_file(path)
    except FileNotFoundError:
        return Loaded(url, error=f"There is no file {url}.")
    except (OSError, ValueError, InputError) as error:
        return Loaded(url, error=f"Cannot read {url}: {getattr(error, 'strerror', None) or error}.")
    return _decode(data, url, url, None)


def _decode(data: bytes, source: str, image: str, index: int | None) -> Loaded:
    digest = hashlib.sha256(data).hexdigest()
    try:
        frame = decode_image(data, source)
    except ImageError as error:
        return Loaded(image, index, None, digest, len(data), error=str(error))
    except MemoryError:
        return Loaded(image, index, None, digest, len(data), error=f"{source} is too large for the memory there is.")
    return Loaded(image, index, None, digest, len(data), frame)


def _rows(chunk: Chunk) -> Iterator[Job]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    url = chunk.urls[0]
    filesystem, path = open_filesystem(url)
    index = chunk.first_row
    try:
        with filesystem.open(path, "rb") as stream, pq.ParquetFile(stream, pre_buffer=False) as file:
            groups = [chunk.row_group]
            for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=groups, columns=[chunk.column]):
                for value in batch.column(0).to_pylist():
                    yield partial(_row, value, url, index)
                    index += 1
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"Cannot read {url} from row {index} on: {str(error).splitlines()[0]}") from error


def _row(value: Any, url: str, index: int) -> Loaded:
    """An image in a Parquet file: bytes, or a structure of `bytes` and `path` as data sets of images have it."""
    data = value.get("bytes") if isinstance(value, dict) else value
    source = f"{url}, row {index}"
    if isinstance(data, bytes):
        return _decode(data, source, url, index)
    if isinstance(value, dict) and isinstance(value.get("path"), str):
        elsewhere = _read(beside(url, value["path"]))
        return Loaded(url, index, None, elsewhere.sha256, elsewhere.size_bytes, elsewhere.frame, elsewhere.error)
    return Loaded(url, index, error=f"{source} holds no image.")


def _video(url: str, every_seconds: float) -> Iterator[Job]:
    """Frames in order; those between the wanted ones are passed over without being converted."""
    with _local_copy(url) as path, open_video(path, url) as capture:
        rate = capture.get(cv2.CAP_PROP_FPS)
        stride = max(1, round(every_seconds * rate)) if 0.0 < rate < 1e4 else 1
        index: int | None = None
        for index, frame in every_frame(capture, stride):
            yield partial(_video_frame, url, index, index / rate if rate > 0.0 else None, frame)
        if index is None:
            raise InputError(f"{url} holds no frame.")


def _video_frame(url: str, index: int, seconds: float | None, frame: Frame) -> Loaded:
    return Loaded(url, index, seconds, hashlib.sha256(frame.data).hexdigest(), None, frame)


@contextmanager
def _local_copy(url: str) -> Iterator[Path]:
    """The path of a file, downloaded where it is elsewhere, since OpenCV reads videos from disk."""
    filesystem, path = open_filesystem(url)
    if is_local(filesystem):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="br2net-") as folder:
        copy = Path(folder) / Path(path).name
        try:
            filesystem.get_file(path, str(copy))
        except OSError as error:
            raise InputError(f"Cannot read {url}: {error}.") from error
        yield copy
