"""From what a user names to chunks of work: files, folders, patterns, videos, Parquet; local or any fsspec URL."""

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from br2net.bulk.filesystems import is_under, open_filesystem, to_url
from br2net.errors import InputError
from br2net.files import IMAGE_SUFFIXES, VIDEO_SUFFIXES

PARQUET_SUFFIXES = frozenset({".parquet", ".pq"})
COLUMNS = ("image", "bytes", "content", "path", "url", "file", "file_name")  # tried in this order
CHUNK_IMAGES = 32

Kind = Literal["images", "video", "rows"]


@dataclass(frozen=True)
class Chunk:
    """What one worker takes at a time.

    Attributes:
        kind: image files; one video; or one row group of a Parquet file with the images inside.
        urls: the image files, or the one video or Parquet file.
        row_group, first_row: of a Parquet file: which group, and the number of its first row in the file.
        column: of a Parquet file.
    """

    kind: Kind
    urls: tuple[str, ...]
    row_group: int = 0
    first_row: int = 0
    column: str = ""

    @property
    def name(self) -> str:
        """What tells a video or row group from any other; for image files their rows do so."""
        return "" if self.kind == "images" else f"{self.urls[0]}#{self.row_group}"


def find_chunks(sources: Iterable[str], column: str | None = None, without: str | None = None) -> Iterator[Chunk]:
    """List the work, images in chunks of 32, each file once however often it is named.

    A folder gives what lies in it and in folders inside it, hidden files left out. Parquet files that hold paths give
    those, relative ones from the Parquet file's folder; such that hold bytes give one chunk for each row group.

    Args:
        sources: paths, patterns or URLs.
        column: of Parquet files; None for the first of `COLUMNS`.
        without: a folder that is left out, as the output's.

    Raises:
        InputError: if a source is missing, gives nothing, or a Parquet file has no column of images.
    """
    seen: set[str] = set()
    images: list[str] = []
    for item in _items(sources, column, without):
        name = item if isinstance(item, str) else item.name
        if name in seen:
            continue
        seen.add(name)
        if isinstance(item, Chunk):
            yield item
            continue
        images.append(item)
        if len(images) == CHUNK_IMAGES:
            yield Chunk("images", tuple(images))
            images.clear()
    if images:
        yield Chunk("images", tuple(images))


def _items(sources: Iterable[str], column: str | None, without: str | None) -> Iterator[str | Chunk]:
    for source in sources:
        found = False
        for url in _expand(source, without):
            found = True
            suffix = posixpath.splitext(url)[1].lower()
            if suffix in VIDEO_SUFFIXES:
                yield Chunk("video", (url,))
            elif suffix in PARQUET_SUFFIXES:
                yield from _parquet_items(url, column)
            else:
                yield url
        if not found:
            raise InputError(f"{source} gives no images, videos or Parquet files.")


def _expand(source: str, without: str | None) -> Iterator[str]:
    filesystem, path = open_filesystem(source)
    wanted = IMAGE_SUFFIXES | VIDEO_SUFFIXES | PARQUET_SUFFIXES
    try:
        if filesystem.isdir(path):
            names = sorted(filesystem.find(path))
        elif filesystem.exists(path):
            yield to_url(filesystem, path)
            return
        elif any(sign in path for sign in "*?["):
            names = sorted(filesystem.glob(path))
        else:
            raise InputError(f"There is no file {source}.")
        for name in names:
            inside = name[len(path) :] if name.startswith(path) else posixpath.basename(name)
            hidden = any(part.startswith(".") for part in inside.split("/"))
            url = to_url(filesystem, name)
            if posixpath.splitext(name)[1].lower() not in wanted or hidden:
                continue
            if without is None or not is_under(url, without):
                yield url
    except OSError as error:
        raise InputError(f"Cannot read {source}: {error.strerror or error}.") from error


def _parquet_items(url: str, column: str | None) -> Iterator[str | Chunk]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    filesystem, path = open_filesystem(url)
    try:
        with filesystem.open(path, "rb") as stream, pq.ParquetFile(stream) as file:
            name = _image_column(url, file.schema_arrow, column)
            kind = file.schema_arrow.field(name).type
            if pa.types.is_string(kind) or pa.types.is_large_string(kind):
                yield from _paths(url, file, name)
                return
            first_row = 0
            for group in range(file.metadata.num_row_groups):
                yield Chunk("rows", (url,), group, first_row, name)
                first_row += file.metadata.row_group(group).num_rows
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"Cannot read {url}: {str(error).splitlines()[0]}") from error


def _image_column(url: str, schema: Any, wanted: str | None) -> str:
    names = list(schema.names)
    found = next((name for name in ([wanted] if wanted else COLUMNS) if name in names), None)
    if found is None:
        raise InputError(f"{url} has no column {wanted or 'of images by a known name'}; it has {', '.join(names)}.")
    return found


def _paths(url: str, file: Any, column: str) -> Iterator[str]:
    for batch in file.iter_batches(batch_size=4096, columns=[column]):
        for text in batch.column(0).to_pylist():
            if text:
                yield beside(url, text)


def beside(url: str, text: str) -> str:
    """A path as written in a Parquet file: a URL or an absolute path as it is, any other from the file's folder."""
    if "://" in text or text.startswith("/") or Path(text).is_absolute():
        return text
    return posixpath.join(posixpath.dirname(url), text)


def without_done(chunks: Iterable[Chunk], is_done: Any, is_finished: Any) -> Iterator[Chunk]:
    """Leave out what an earlier run did, and pack the images that remain into full chunks again.

    Args:
        chunks: all of the work.
        is_done: tells of an image file's URL whether its row is there.
        is_finished: tells of the name of a video or row group whether it was done to its end.
    """

    def images() -> Iterator[str]:
        for chunk in chunks:
            if chunk.kind == "images":
                yield from (url for url in chunk.urls if not is_done(url))
            elif not is_finished(chunk.name):
                others.append(chunk)

    others: list[Chunk] = []
    remaining = images()
    while urls := tuple(islice(remaining, CHUNK_IMAGES)):
        yield Chunk("images", urls)
        yield from others
        others.clear()
    yield from others
