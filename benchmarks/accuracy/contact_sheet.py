"""Rows of small pictures for a page, as JPEGs within it."""

import base64

import cv2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from br2net.benchmarks.accuracy.evaluation import blur_map
from br2net.benchmarks.accuracy.sharp_check import SharpFigures, defocus
from br2net.datasets import ImageFigures, Pair, read_pair
from br2net.runtime.backend import Backend
from br2net.runtime.images import read_image
from br2net.runtime.postprocessing import to_grey
from br2net.types import Frame, Map

THUMBNAIL_WIDTH, THUMBNAIL_HEIGHT = 360, 240
FALSE_BLUR_BGR = (20, 105, 235)  # orange: called blurred, but in focus
MISSED_BLUR_BGR = (200, 90, 20)  # blue: blurred, but not found
UNKNOWN_GREY = 128


def pair_row(figures: ImageFigures, pair: Pair, backend: Backend) -> Markup:
    """Return one row of photograph, mask, map and difference; the map is computed again."""
    frame, mask = read_pair(pair)
    blur = blur_map(backend, frame)
    pictures = {
        "photograph": frame,
        "mask": to_grey(np.nan_to_num(mask, nan=UNKNOWN_GREY / 255)),
        "map": to_grey(blur),
        "difference": difference_picture(blur, mask),
    }
    return picture_row(figures.name, f"MAE {figures.mae:.3f}, IoU {figures.iou:.3f}", pictures)


def sharp_row(figures: SharpFigures, backend: Backend) -> Markup:
    """Return one row of photograph, its map, the defocused photograph and its map."""
    frame = read_image(figures.path)
    defocused = defocus(frame)
    pictures = {
        "photograph": frame,
        "map": to_grey(blur_map(backend, frame)),
        "defocused photograph": defocused,
        "map of the defocused photograph": to_grey(blur_map(backend, defocused)),
    }
    as_it_is, defocused_share = 100.0 * figures.as_it_is.fraction, 100.0 * figures.defocused.fraction
    caption = f"{as_it_is:.1f} % blurred as it is, {defocused_share:.1f} % defocused"
    return picture_row(figures.path.stem, caption, pictures)


def difference_picture(blur: Map, mask: Map) -> Frame:
    """Show where a map errs: white where it is right, orange where it sees blur in focus, blue where it misses blur.

    blur, mask: float32 `(H, W)`, 0..1; the mask is NaN where it is unknown, which is shown grey. Gives uint8 `(H, W, 3)` BGR.
    """
    unknown = np.isnan(mask)
    error = np.where(unknown, np.float32(0.0), blur - mask)[..., None]
    colour = np.where(error > 0.0, np.array(FALSE_BLUR_BGR, np.float32), np.array(MISSED_BLUR_BGR, np.float32))
    picture = np.rint(255.0 + np.abs(error) * (colour - 255.0))
    picture[unknown] = UNKNOWN_GREY
    return np.asarray(picture, dtype=np.uint8)


def picture_row(name: str, caption: str, pictures: dict[str, NDArray[np.uint8]]) -> Markup:
    """Return one row of small pictures under a caption as HTML; `pictures` by what they show, grey or BGR uint8."""
    image = Markup('<img alt="{} of {}" src="{}">')
    cells = Markup().join(image.format(kind, name, _data_uri(picture)) for kind, picture in pictures.items())
    row = Markup('<div class="row"><p><b>{}</b>{}</p><div class="pictures">{}</div></div>')
    return row.format(name, caption, cells)


def _data_uri(picture: NDArray[np.uint8]) -> str:
    height, width = picture.shape[:2]
    scale = min(THUMBNAIL_WIDTH / width, THUMBNAIL_HEIGHT / height)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 82])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
