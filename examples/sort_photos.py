"""Sorts a folder of photographs by how much of each is in focus, and names the best of every burst.

`python examples/sort_photos.py FOLDER [--sheet sheet.jpg] [--alike 0.9]`

A burst is photographs, one after the other by name, that look alike when they are tiny. Within one, the best is that with
the highest focus score where the model sees something in focus in any of them: the subject counts, not the background.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import br2net
from br2net.errors import Br2netError, ImageError, InputError
from br2net.live.pipeline import sharpness
from br2net.runtime.images import list_images, read_image

SIDE = 512  # longest side of what is kept of each photograph
TILE = 240


@dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph, reduced; where it is in focus; what it looks like from afar."""

    path: Path
    frame: NDArray[np.uint8]
    in_focus: NDArray[np.bool_]
    tiny: NDArray[np.float32]

    @property
    def share(self) -> float:
        """Share of its pixels in focus."""
        return float(self.in_focus.mean())


def look(detector: br2net.Detector, path: Path) -> Photograph:
    """Read a photograph and detect in it."""
    frame = read_image(path)
    scale = min(1.0, SIDE / max(frame.shape[:2]))
    size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
    blur = detector(frame).map
    small = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    in_focus = cv2.resize(blur, size, interpolation=cv2.INTER_AREA) < 0.5
    tiny = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), (16, 16), interpolation=cv2.INTER_AREA).astype(
        np.float32
    )
    return Photograph(path, small, np.asarray(in_focus), np.asarray(tiny, np.float32))


def alike(one: Photograph, other: Photograph, least: float) -> bool:
    """Whether two photographs are of one size and correlate from afar."""
    if one.frame.shape != other.frame.shape:
        return False
    return float(np.corrcoef(one.tiny.ravel(), other.tiny.ravel())[0, 1]) >= least


def best_of(burst: list[Photograph]) -> Photograph:
    """The sharpest where any of them is in focus."""
    somewhere = np.any([photograph.in_focus for photograph in burst], axis=0)
    if not somewhere.any():
        somewhere[:] = True
    top, bottom = np.flatnonzero(somewhere.any(1))[[0, -1]]
    left, right = np.flatnonzero(somewhere.any(0))[[0, -1]]
    window = np.s_[top : bottom + 1, left : right + 1]
    return max(burst, key=lambda photograph: sharpness(np.ascontiguousarray(photograph.frame[window])))


def draw_sheet(path: Path, photographs: list[Photograph], best: set[Path]) -> None:
    """All photographs, the sharpest first; the best of a burst in a green frame."""
    tiles = []
    for photograph in photographs:
        tile = np.full((TILE, TILE, 3), 255, np.uint8)
        scale = (TILE - 20) / max(photograph.frame.shape[:2])
        small = cv2.resize(photograph.frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = small.shape[:2]
        tile[10 : 10 + height, 10 : 10 + width] = small
        if photograph.path in best:
            cv2.rectangle(tile, (7, 7), (12 + width, 12 + height), (60, 160, 40), 4)
        text = f"{photograph.path.stem[:18]} {photograph.share:.0%}"
        cv2.putText(tile, text, (10, TILE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        tiles.append(tile)
    columns = min(5, len(tiles))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    cv2.imwrite(str(path), np.vstack(rows))


def main(options: argparse.Namespace) -> None:
    """What the command line asks for."""
    if not options.folder.exists():
        raise InputError(f"There is no folder {options.folder}.")
    photographs: list[Photograph] = []
    with br2net.Detector.load("mobile") as detector:
        for path in list_images([options.folder]):
            try:
                photographs.append(look(detector, path))
            except ImageError as error:
                print(f"left out: {error}")
    if not photographs:
        raise InputError(f"{options.folder} holds no photograph that can be read.")
    bursts: list[list[Photograph]] = []
    for photograph in photographs:
        if bursts and alike(bursts[-1][-1], photograph, options.alike):
            bursts[-1].append(photograph)
        else:
            bursts.append([photograph])
    photographs.sort(key=lambda photograph: photograph.share, reverse=True)
    for photograph in photographs:
        print(f"{photograph.share:4.0%} in focus  {photograph.path}")
    best = {best_of(burst).path for burst in bursts if len(burst) > 1}
    for burst in bursts:
        if len(burst) > 1:
            print(f"best of {len(burst)}: {best_of(burst).path}")
    if options.sheet:
        draw_sheet(options.sheet, photographs, best)


parser = argparse.ArgumentParser(description="Sorts photographs by how much is in focus; the best of each burst.")
parser.add_argument("folder", type=Path)
parser.add_argument("--sheet", type=Path, metavar="FILE", help="a picture of all of them, in order")
parser.add_argument("--alike", type=float, default=0.9, help="correlation from which on two are of one burst")
try:
    main(parser.parse_args())
except Br2netError as error:
    parser.error(str(error))
