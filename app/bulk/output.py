"""The output folder: Parquet parts, maps, and what an earlier run left there."""

import io
import json
import posixpath
import time
from hashlib import blake2b
from typing import Any

from br2net.bulk.filesystems import open_filesystem, to_url, write_file
from br2net.bulk.row import Result, Row, to_table
from br2net.errors import InputError

RUN_FILE = "run.json"
ROWS_FOLDER = "rows"  # Parquet parts and nothing else, so that readers of data sets take the folder
FINISHED_KEY = b"br2net.finished"
PART_ROWS = 2048
PART_SECONDS = 20.0  # so much work at most is lost to a power cut


class Output:
    """Rows go in once each, by image and index, whoever hands them over how often.

    Rows are kept until there are 2048 of them or 20 seconds have gone, and written as one Parquet part, whole or not at
    all. `close` writes the rest.
    """

    def __init__(self, url: str, settings: dict[str, Any], retry_errors: bool = False) -> None:
        """Open or make an output folder.

        Raises:
            InputError: if it holds results of other settings, or cannot be read or written.
        """
        self._filesystem, self._folder = open_filesystem(url)
        self.url = to_url(self._filesystem, self._folder)
        self._done: set[bytes] = set()
        self._finished: set[str] = set()
        self._rows: list[Row] = []
        self._newly_finished: list[str] = []
        self._since = time.monotonic()
        self.written = 0
        self.errors = 0
        self._claim(settings)
        parts = self._read_parts()
        self._load(self._without_errors(parts) if retry_errors else parts)

    def is_done(self, image: str, index: int | None = None) -> bool:
        """Whether there is a row of this image."""
        return _key(image, index) in self._done

    def is_finished(self, name: str) -> bool:
        """Whether a video or row group was done to its end."""
        return name in self._finished

    def add(self, result: Result) -> int:
        """Take rows, with their maps; those that are there already are dropped. Gives how many were new."""
        new = 0
        for row, picture in zip(result.rows, result.maps, strict=True):
            key = _key(row.image, row.index)
            if key in self._done:
                continue
            self._done.add(key)
            if picture is not None and row.map is not None:
                write_file(self._filesystem, posixpath.join(self._folder, row.map), picture)
            self._rows.append(row)
            self.errors += row.error is not None
            new += 1
        self._newly_finished += result.finished
        self._finished.update(result.finished)
        self.written += new
        if len(self._rows) >= PART_ROWS or time.monotonic() - self._since > PART_SECONDS:
            self._flush()
        return new

    def close(self) -> None:
        """Write what has not been written."""
        self._flush()

    def _flush(self) -> None:
        self._since = time.monotonic()
        if not self._rows and not self._newly_finished:
            return
        names = "\n".join(f"{row.image}\0{row.index}" for row in self._rows) + "\n".join(self._newly_finished)
        name = f"part-{blake2b(names.encode(errors='surrogateescape'), digest_size=8).hexdigest()}.parquet"
        self._write_part(name, to_table(self._rows), self._newly_finished)
        self._rows, self._newly_finished = [], []

    def _write_part(self, name: str, table: Any, finished: list[str]) -> None:
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        table = table.replace_schema_metadata({FINISHED_KEY: json.dumps(finished).encode()})
        pq.write_table(table, buffer, compression="zstd")
        write_file(self._filesystem, posixpath.join(self._folder, ROWS_FOLDER, name), buffer.getvalue())

    def _claim(self, settings: dict[str, Any]) -> None:
        path = posixpath.join(self._folder, RUN_FILE)
        try:
            if not self._filesystem.exists(path):
                write_file(self._filesystem, path, json.dumps(settings, indent=2).encode())
                return
            found = json.loads(self._filesystem.cat_file(path))
        except (OSError, ValueError) as error:
            raise InputError(f"Cannot use {self.url} as output: {error}.") from error
        for name, value in settings.items():
            if found.get(name) != value:
                raise InputError(
                    f"{self.url} holds results with {name} {found.get(name)}, and this run has {value}; "
                    "choose another output folder."
                )

    def _read_parts(self) -> dict[str, tuple[Any, list[str]]]:
        """Of each part its columns image, index, error and the names of what it finished."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        parts = {}
        for path in sorted(self._filesystem.glob(posixpath.join(self._folder, ROWS_FOLDER, "part-*.parquet"))):
            try:
                with self._filesystem.open(path, "rb") as stream:
                    table = pq.read_table(stream, columns=["image", "index", "error"])
            except (pa.ArrowException, OSError, KeyError) as error:
                raise InputError(f"{path} is damaged or no part of br2net; remove it to have it done again.") from error
            finished = json.loads((table.schema.metadata or {}).get(FINISHED_KEY, b"[]"))
            parts[posixpath.basename(path)] = (table, finished)
        return parts

    def _load(self, parts: dict[str, tuple[Any, list[str]]]) -> None:
        for table, finished in parts.values():
            self._finished.update(finished)
            for image, index in zip(table["image"].to_pylist(), table["index"].to_pylist(), strict=True):
                self._done.add(_key(image, index))

    def _without_errors(self, parts: dict[str, tuple[Any, list[str]]]) -> dict[str, tuple[Any, list[str]]]:
        """Take rows with errors out of the parts. First what they are in is marked unfinished: nothing may be lost."""
        import pyarrow.compute as pc

        failed = {
            image
            for table, _ in parts.values()
            for image in table.filter(pc.is_valid(table["error"]))["image"].to_pylist()
        }
        for name, (table, finished) in parts.items():
            kept = [item for item in finished if item.rsplit("#", 1)[0] not in failed]
            if kept != finished:
                self._write_part(name, self._whole(name), kept)
                parts[name] = (table, kept)
        for name, (table, finished) in parts.items():
            if table["error"].null_count < len(table):
                whole = self._whole(name)
                self._write_part(name, whole.filter(pc.is_null(whole["error"])), finished)
                parts[name] = (table.filter(pc.is_null(table["error"])), finished)
        return parts

    def _whole(self, name: str) -> Any:
        import pyarrow.parquet as pq

        with self._filesystem.open(posixpath.join(self._folder, ROWS_FOLDER, name), "rb") as stream:
            return pq.read_table(stream)


def _key(image: str, index: int | None) -> bytes:
    return blake2b(f"{image}\0{index}".encode(errors="surrogateescape"), digest_size=16).digest()
