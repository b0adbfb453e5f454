"""One image's row, and the Parquet schema of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Row:
    """What a bulk run says of one image. Where `error` says why it failed, what was not found out is None.

    Attributes:
        image: path or URL of the image, or of the video or Parquet file it lies in.
        index: number of the frame in its video, or of the row in its Parquet file, from 0; None for an image file.
        seconds: time of the frame in its video.
        sha256: of the bytes of the image as stored; of a video's frame, of its pixels. Hex digits.
        size_bytes: of the image as stored; of a video's frame None.
        width, height: pixels, upright.
        blurred_fraction: share of the pixels whose map is at least 0.5, 0..1.
        sharpness: mean of 1 - map in each cell of a grid, row by row from the top left; 1 = all in focus.
        model: name, precision, input size and hash of the weights.
        map: the map's PNG, relative to the output folder.
        error: one sentence.
    """

    image: str
    index: int | None = None
    seconds: float | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    width: int | None = None
    height: int | None = None
    blurred_fraction: float | None = None
    sharpness: tuple[float, ...] | None = None
    model: str | None = None
    map: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Result:
    """What a worker hands back.

    Attributes:
        rows: finished rows.
        maps: for each row its map as PNG bytes, or None.
        finished: names of videos and row groups that these rows end.
    """

    rows: tuple[Row, ...]
    maps: tuple[bytes | None, ...]
    finished: tuple[str, ...] = ()


def schema() -> Any:
    """The Parquet schema of `Row`."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("image", pa.string(), nullable=False),
            ("index", pa.int64()),
            ("seconds", pa.float64()),
            ("sha256", pa.string()),
            ("size_bytes", pa.int64()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("blurred_fraction", pa.float32()),
            ("sharpness", pa.list_(pa.float32())),
            ("model", pa.string()),
            ("map", pa.string()),
            ("error", pa.string()),
        ]
    )


def to_table(rows: Sequence[Row]) -> Any:
    """Rows as a table of that schema."""
    import pyarrow as pa

    fields = schema()
    return pa.table({name: [getattr(row, name) for row in rows] for name in fields.names}, schema=fields)


def grid_of(blur: NDArray[np.float32], cells: int) -> tuple[float, ...]:
    """Mean of 1 - map in each cell of a grid of `cells` by `cells`; cells may split pixels, which count in part.

    Args:
        blur: `(H, W)` float32, 0..1.
        cells: per side.
    """
    means = cv2.resize(blur, (cells, cells), interpolation=cv2.INTER_AREA)
    return tuple(float(value) for value in 1.0 - np.asarray(means).ravel())
