"""One worker: a detector, and rows from chunks. The same on this machine and on a cluster."""

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from hashlib import sha256

import cv2
import numpy as np

from br2net.blur_map import BlurMap
from br2net.bulk.options import BulkOptions, ModelChoice
from br2net.bulk.reading import End, Loaded, read_all
from br2net.bulk.row import Result, Row, grid_of
from br2net.bulk.sources import Chunk
from br2net.detector import Detector
from br2net.runtime import postprocessing

BATCH = 8
BATCH_PIXELS = 32_000_000  # of all frames of a batch, so that large photographs go one by one


class Worker:
    """Scores images. It owns its detector until `close`."""

    def __init__(self, choice: ModelChoice, options: BulkOptions) -> None:
        self._detector = Detector.load(**asdict(choice))
        self._options = options
        self._readers = choice.threads or min(4, os.cpu_count() or 1)
        backend, facts = self._detector.backend, self._detector.metadata
        identity = (facts.name, backend.precision, f"{backend.width}x{backend.height}", facts.weights_sha256[:12])
        self.model = " ".join(part for part in identity if part)

    def run(self, chunks: Iterable[Chunk]) -> Iterator[Result]:
        """Rows of all images of the chunks, in order, in small groups."""
        waiting: list[Loaded] = []
        pixels = 0
        for item in read_all(chunks, self._options.every_seconds, self._readers):
            if isinstance(item, End):
                yield self._score(waiting, (item.name,))
                waiting, pixels = [], 0
                continue
            waiting.append(item)
            pixels += item.frame.shape[0] * item.frame.shape[1] if item.frame is not None else 0
            if len(waiting) == BATCH or pixels >= BATCH_PIXELS:
                yield self._score(waiting, ())
                waiting, pixels = [], 0
        if waiting:
            yield self._score(waiting, ())

    def close(self) -> None:
        """Free the model."""
        self._detector.close()

    def _score(self, items: list[Loaded], finished: tuple[str, ...]) -> Result:
        frames = [item.frame for item in items if item.frame is not None]
        found = iter(self._detector(frames) if frames else [])
        rows, maps = [], []
        for item in items:
            blur = next(found) if item.frame is not None else None
            rows.append(self._row(item, blur))
            maps.append(_encode(blur) if blur is not None and self._options.maps else None)
        return Result(tuple(rows), tuple(maps), finished)

    def _row(self, item: Loaded, blur: BlurMap | None) -> Row:
        facts = (item.image, item.index, item.seconds, item.sha256, item.size_bytes)
        if blur is None:
            return Row(*facts, model=self.model, error=item.error)
        height, width = blur.map.shape
        place = _map_name(item) if self._options.maps else None
        cells = grid_of(blur.map, self._options.grid)
        return Row(*facts, width, height, blur.blurred_fraction, cells, self.model, place)


def _map_name(item: Loaded) -> str:
    """A name that is the image's own, and can be told at a glance."""
    stem = re.sub(r"[^\w.-]", "_", posixpath.splitext(posixpath.basename(item.image))[0])[:80]
    digest = sha256(f"{item.image}\0{item.index}".encode(errors="surrogateescape")).hexdigest()[:12]
    frame = "" if item.index is None else f"-{item.index:06d}"
    return f"maps/{digest[:2]}/{stem}{frame}-{digest}.png"


def _encode(blur: BlurMap) -> bytes:
    _, encoded = cv2.imencode(".png", postprocessing.to_grey(blur.map), [cv2.IMWRITE_PNG_COMPRESSION, 3])
    return np.asarray(encoded).tobytes()
