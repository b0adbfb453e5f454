"""Reading photographs as they come, and writing pictures whole or not at all."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from br2net.errors import ImageError, InputError
from br2net.files import write_bytes

Frame = NDArray[np.uint8]
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})


def read_image(path: Path) -> Frame:
    """Read a photograph as a frame: uint8 `(H, W, 3)`, BGR, turned upright by its EXIF orientation.

    Sixteen-bit files are scaled to eight bits (65535 becomes 255), grey ones get three equal channels, and
    transparency is left out, so that a pixel keeps the colour it was photographed with.

    Raises:
        ImageError: if the file is missing, empty, cut short, too large to decode, or no image. One sentence each.
    """
    data = _read_bytes(path)
    _refuse_cut_short(path, data)
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        raise ImageError(f"{path} cannot be decoded ({error.err}).") from error
    if decoded is None:
        raise ImageError(f"{path} is not an image that OpenCV can read.")
    return to_frame(np.asarray(decoded), str(path))


def to_frame(pixels: NDArray[np.generic], source: str) -> Frame:
    """Bring decoded pixels `(H, W, 3)` of 8 or 16 bits, or floating point 0..1, to a frame.

    Raises:
        ImageError: for any other type; `source` is named.
    """
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels, dtype=np.uint8)
    if pixels.dtype == np.uint16:
        return cv2.convertScaleAbs(pixels, alpha=255.0 / 65535.0).astype(np.uint8)
    if np.issubdtype(pixels.dtype, np.floating):
        scaled = np.nan_to_num(pixels.astype(np.float32)) * 255.0
        return np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)
    raise ImageError(f"{source} has pixels of type {pixels.dtype}; 8 and 16 bits are understood.")


def list_images(sources: Sequence[str | Path]) -> list[Path]:
    """List the images that files, folders and glob patterns name, in order and each once.

    A folder gives its images by name, without those of folders inside it. A file is taken as it is named, whatever its
    suffix, and also where it does not exist, so that reading it names the error.

    Raises:
        InputError: if a folder or a pattern holds no image, or nothing was named.
    """
    found: dict[Path, None] = {}
    for source in sources:
        for path in _expand(source):
            found.setdefault(path)
    if not found:
        raise InputError("No image was named.")
    return list(found)


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write `(H, W)` grey or `(H, W, 3)` BGR uint8 as PNG to `path`, whole or not at all.

    Raises:
        InputError: if it cannot be encoded or written.
    """
    encoded, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not encoded:
        raise InputError(f"The picture for {path} cannot be encoded as PNG.")
    write_bytes(path, data.tobytes())


def _expand(source: str | Path) -> Iterator[Path]:
    path = Path(source)
    if path.is_dir():
        images = sorted(item for item in path.iterdir() if item.suffix.lower() in SUFFIXES and item.is_file())
        if not images:
            raise InputError(f"The folder {path} holds no images ({', '.join(sorted(SUFFIXES))}).")
        yield from images
    elif path.exists() or not glob.has_magic(str(source)):
        yield path
    else:
        matches = sorted(Path(name) for name in glob.glob(str(source), recursive=True))
        images = [item for item in matches if item.is_file() and item.suffix.lower() in SUFFIXES]
        if not images:
            raise InputError(f"The pattern {source} matches no images.")
        yield from images


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise ImageError(f"{path} is a folder, not an image.")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"There is no file {path}.") from None
    except OSError as error:
        raise ImageError(f"Cannot read {path}: {error.strerror or error}.") from error
    if not data:
        raise ImageError(f"{path} is empty.")
    return data


def _refuse_cut_short(path: Path, data: bytes) -> None:
    """OpenCV decodes the part of a cut JPEG or PNG that is there and leaves the rest grey: tell it by the end marker."""
    if data.startswith(b"\xff\xd8\xff") and not _has_jpeg_end(data):
        raise ImageError(f"{path} is cut short: the end of the JPEG is missing.")
    if data.startswith(b"\x89PNG\r\n\x1a\n") and b"IEND" not in data[-65536:]:
        raise ImageError(f"{path} is cut short: the end of the PNG is missing.")


def _has_jpeg_end(data: bytes) -> bool:
    """Whether an end marker follows the first scan; markers inside header segments (an EXIF thumbnail's) do not count."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
            continue
        if marker == 0xDA:  # start of scan: compressed data from here on
            return data.find(b"\xff\xd9", position) >= 0
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False
