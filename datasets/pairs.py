"""Photographs and their masks: which file belongs to which, in the layouts that data sets come in.

Recognised are, with any case of the folder names:

- `images/` and `masks/`, and the other usual names of the two folders (`image/` and `gt/`, `source/` and `gt/`, ..);
- Shi et al.: `image/out_of_focus0001.jpg` and `gt/out_of_focus0001.png`; the motion-blurred ones are left out;
- DUT: `DUT500S-Testing/` and `DUT500GT-Testing/`, `DUT600S_Training/` and `DUT600GT_Training/`, `dut500-source/` and
  `dut500-gt/`. Its masks are white = in focus, so they are inverted;
- CTCUG: an image and a mask folder of the usual names, white = blurred.

Where a folder holds several sets (DUT's training and testing parts), name the image folder itself instead.
"""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from br2net.errors import DatasetError
from br2net.files import IMAGE_SUFFIXES
from br2net.runtime.images import read_image

IMAGE_FOLDERS = frozenset({"images", "image", "imgs", "img", "source", "src"})
MASK_FOLDERS = frozenset({"masks", "mask", "gt", "gts", "ground_truth", "groundtruth"})
DUT_IMAGES = re.compile(r"dut(?P<count>\d+)s?[-_]?(source|training|testing)?", re.IGNORECASE)
DUT_MASKS = re.compile(r"dut(?P<count>\d+)s?[-_]?gt[-_]?(training|testing)?", re.IGNORECASE)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """A photograph and its mask.

    Attributes:
        image: file of the photograph.
        mask: file of the mask, of the same size.
        name: what a split file calls them: the stem of the photograph.
        inverted: whether the mask file is white = in focus, so that `read_mask` turns it around.
        unknown: 8-bit value of the mask file that means "not known"; None where every pixel is labelled.
    """

    image: Path
    mask: Path
    name: str
    inverted: bool = False
    unknown: int | None = None


def find_pairs(
    folder: Path, split: Path | None = None, invert_masks: bool = False, unknown: int | None = None
) -> list[Pair]:
    """Find the photographs of a data set and the mask of each, sorted by name (or in the order of `split`).

    Args:
        folder: of the data set, or its image folder, beside which the mask folder stands.
        split: text file with one stem per line; only these are taken. Blank lines and `#` lines are skipped.
        invert_masks: the masks are white = in focus. DUT's are recognised as such by themselves, and a warning says so.
        unknown: 8-bit value that means "not known" in the masks, for example 128; None if every pixel is labelled.

    Raises:
        DatasetError: if no such folders are found, a photograph has no mask or two, or a stem of `split` is unknown.
    """
    images, masks, is_dut = _find_folders(folder)
    if is_dut and not invert_masks:
        _log.warning("The masks of DUT (%s) are white = in focus; they are inverted.", masks)
    photographs = _by_stem(images)
    if split is not None:
        names = read_split(split)
        if absent := [name for name in names if name not in photographs]:
            raise DatasetError(f"{split} names {absent[0]}{_and_more(absent)}, which {images} does not hold.")
    else:
        names = _defocused(photographs, images)
    if not names:
        raise DatasetError(f"{split if split is not None else images} names no photograph.")
    mask_files = _by_stem(masks)
    if missing := [name for name in names if name not in mask_files]:
        raise DatasetError(f"{photographs[missing[0]]}{_and_more(missing)} has no mask in {masks}.")
    inverted = is_dut or invert_masks
    return [Pair(photographs[name], mask_files[name], name, inverted, unknown) for name in names]


def read_split(path: Path) -> list[str]:
    """Read a list of stems, one per line, in the order of the file; a suffix as `.jpg` is dropped.

    Raises:
        DatasetError: if the file cannot be read or names a photograph twice.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise DatasetError(f"Cannot read the split {path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"Cannot read the split {path}: it is no text file with one stem a line.") from error
    names = [_without_image_suffix(line) for line in lines if line and not line.startswith("#")]
    if len(names) != len(set(names)):
        twice = next(name for name in names if names.count(name) > 1)
        raise DatasetError(f"The split {path} names {twice} more than once.")
    return names


def read_mask(pair: Pair) -> NDArray[np.float32]:
    """Read the mask of a pair: `(H, W)` float32, 0..1, 0 = in focus, 1 = blurred; grey values stay between.

    8 and 16 bit and colour files are accepted; a file with no values but 0 and 1 is taken as 0 = black and 1 = white.
    Pixels of the value `pair.unknown` become NaN, so that a figure which does not exclude them becomes NaN too.

    Raises:
        DatasetError: if the file is no image.
    """
    try:
        data = np.frombuffer(pair.mask.read_bytes(), np.uint8)
    except OSError as error:
        raise DatasetError(f"Cannot read the mask {pair.mask}: {error.strerror or error}.") from error
    try:
        raw = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH) if data.size else None
    except cv2.error as error:
        raise DatasetError(f"The mask {pair.mask} cannot be decoded ({error.err}).") from error
    if raw is None or raw.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"The mask {pair.mask} is not an image of 8 or 16 bit.")
    largest = 255 if raw.dtype == np.uint8 else 65535
    white = 1 if raw.max(initial=0) == 1 else largest
    mask = raw.astype(np.float32) / np.float32(white)
    if pair.unknown is not None:
        mask[raw == pair.unknown] = np.nan
    return np.subtract(1, mask, dtype=np.float32) if pair.inverted else mask


def read_pair(pair: Pair) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Read a photograph, `(H, W, 3)` uint8 BGR, and its mask, `(H, W)` float32 as of `read_mask`.

    Raises:
        ImageError: if the photograph cannot be read.
        DatasetError: if the mask cannot be read, or is not of the photograph's size.
    """
    image, mask = read_image(pair.image), read_mask(pair)
    if image.shape[:2] != mask.shape:
        height, width = image.shape[:2]
        raise DatasetError(
            f"The mask {pair.mask} is {mask.shape[1]}x{mask.shape[0]}, but {pair.image} is {width}x{height}."
        )
    return image, mask


def _find_folders(folder: Path) -> tuple[Path, Path, bool]:
    """Image folder, mask folder, and whether they are DUT's."""
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}.")
    found = list(_folder_pairs(_subfolders(folder)))
    if not found:  # the image folder itself may have been named
        found = [both for both in _folder_pairs(_subfolders(folder.absolute().parent)) if both[0].name == folder.name]
    if not found:
        raise DatasetError(f"{folder} holds no data set: two folders as images/ and masks/ are looked for.")
    if len(found) > 1:
        choices = ", ".join(str(images) for images, _, _ in found)
        raise DatasetError(f"{folder} holds {len(found)} data sets; name the image folder of one: {choices}.")
    return found[0]


def _folder_pairs(folders: list[Path]) -> Iterable[tuple[Path, Path, bool]]:
    """Every image folder among `folders` with its mask folder."""
    dut_masks = {match["count"]: folder for folder in folders if (match := DUT_MASKS.fullmatch(folder.name))}
    usual_masks = [folder for folder in folders if folder.name.lower() in MASK_FOLDERS]
    for folder in folders:
        if (match := DUT_IMAGES.fullmatch(folder.name)) and match["count"] in dut_masks:
            yield folder, dut_masks[match["count"]], True
        elif folder.name.lower() in IMAGE_FOLDERS:
            for masks in usual_masks:
                yield folder, masks, False


def _subfolders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir())


def _by_stem(folder: Path) -> dict[str, Path]:
    """Image files of a folder by stem, sorted."""
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in files:
            raise DatasetError(f"{files[path.stem]} and {path.name} share one name; keep one of them.")
        files[path.stem] = path
    return files


def _defocused(photographs: dict[str, Path], folder: Path) -> list[str]:
    """Without the motion-blurred photographs that Shi's data set holds in the same folder."""
    motion = [name for name in photographs if re.fullmatch(r"motion\d+", name)]
    if motion and any(name.startswith("out_of_focus") for name in photographs):
        _log.warning("Left out %d motion-blurred photographs of %s.", len(motion), folder)
        return [name for name in photographs if name not in set(motion)]
    return list(photographs)


def _without_image_suffix(name: str) -> str:
    path = Path(name)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name


def _and_more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
