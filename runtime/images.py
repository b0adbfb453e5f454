"""Reading photographs as they come, and writing pictures whole or not at all."""

import glob
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from br2net.errors import ImageError, InputError
from br2net.files import IMAGE_SUFFIXES, AnyPath, write_bytes
from br2net.types import Frame

SILENT = 0  # OpenCV's log level
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_HEADER_BYTES = len(PNG_SIGNATURE) + 25  # the signature and IHDR, which is always first and always this long
PNG_MARK = b"Software\0br2net"  # a tEXt chunk: how a later run tells its own pictures from photographs


def read_image(path: AnyPath) -> Frame:
    """Read a photograph as a frame: uint8 `(H, W, 3)`, BGR, turned upright by its EXIF orientation.

    Sixteen-bit files are scaled to eight bits (65535 becomes 255), grey ones get three equal channels, and
    transparency is left out, so that a pixel keeps the colour it was photographed with.

    Raises:
        ImageError: if the file is missing, empty, cut short, too large to decode, or no image. One sentence each.
    """
    return decode_image(_read_bytes(Path(path)), str(path))


def decode_image(data: bytes, source: str) -> Frame:
    """Decode the bytes of an image file as `read_image` does; `source` names it in errors.

    Raises:
        ImageError: if it is empty, cut short, too large to decode, or no image.
    """
    if not data:
        raise ImageError(f"{source} is empty.")
    _refuse_damaged(source, data)
    try:
        with quiet_opencv():
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        raise ImageError(f"{source} cannot be decoded: it is too large, or damaged ({error.err}).") from error
    if decoded is None:
        raise ImageError(f"{source} is damaged, or not an image that OpenCV can read.")
    return to_frame(np.asarray(decoded), source)


def to_frame(pixels: NDArray[np.generic], source: str) -> Frame:
    """Bring decoded pixels `(H, W, 3)` of 8 or 16 bits, or floating point 0..1, to a frame.

    Raises:
        ImageError: for any other type; `source` is named.
    """
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels, dtype=np.uint8)
    if pixels.dtype == np.uint16:
        return np.asarray(cv2.convertScaleAbs(pixels.astype(np.uint16), alpha=255.0 / 65535.0), dtype=np.uint8)
    if np.issubdtype(pixels.dtype, np.floating):
        clipped = np.clip(np.nan_to_num(pixels), 0.0, 1.0).astype(np.float32)
        return np.asarray(np.rint(clipped * 255.0), dtype=np.uint8)
    raise ImageError(f"{source} has pixels of type {pixels.dtype}; 8 and 16 bits are understood.")


def list_images(sources: Sequence[AnyPath]) -> list[Path]:
    """List the images that files, folders and glob patterns name, in order and each once however it is spelt.

    A folder gives its images by name, without those of folders inside it. A file is taken as it is named, whatever its
    suffix, and also where it does not exist, so that reading it names the error.

    Raises:
        InputError: if a folder cannot be read, a folder or a pattern holds no image, or nothing was named.
    """
    found: dict[str, Path] = {}
    for source in sources:
        for path in _expand(source):
            found.setdefault(os.path.abspath(path), path)  # noqa: PTH100  # links are told apart
    if not found:
        raise InputError("No image was named.")
    return list(found.values())


def write_png(path: AnyPath, pixels: NDArray[np.uint8]) -> None:
    """Write `(H, W)` grey or `(H, W, 3)` BGR uint8 as PNG to `path`, whole or not at all, marked as made by br2net.

    Raises:
        InputError: if it cannot be encoded or written.
    """
    try:
        encoded, array = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    except cv2.error as error:
        raise InputError(f"The picture for {path} cannot be encoded as PNG ({error.err}).") from error
    if not encoded:
        raise InputError(f"The picture for {path} cannot be encoded as PNG.")
    data = array.tobytes()
    write_bytes(path, data[:PNG_HEADER_BYTES] + _png_chunk(b"tEXt", PNG_MARK) + data[PNG_HEADER_BYTES:])


def is_own_png(path: AnyPath) -> bool:
    """Whether `write_png` made this file; False as well where it cannot be read."""
    mark = _png_chunk(b"tEXt", PNG_MARK)
    try:
        with Path(path).open("rb") as file:
            start = file.read(PNG_HEADER_BYTES + len(mark))
    except (OSError, ValueError):
        return False
    return start.startswith(PNG_SIGNATURE) and start.endswith(mark)


def _expand(source: AnyPath) -> Iterator[Path]:
    path = Path(source)
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError):  # a name that cannot be looked up: reading it says why
        is_folder, is_there = False, True
    if is_folder:
        try:
            images = sorted(item for item in path.iterdir() if item.suffix.lower() in IMAGE_SUFFIXES and item.is_file())
        except OSError as error:
            raise InputError(f"Cannot read the folder {path}: {error.strerror or error}.") from error
        if not images:
            raise InputError(f"The folder {path} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}).")
        yield from images
    elif is_there or not glob.has_magic(str(source)):
        yield path
    else:
        matches = sorted(Path(name) for name in glob.glob(str(source), recursive=True))  # noqa: PTH207  # absolute patterns too
        images = [item for item in matches if item.is_file() and item.suffix.lower() in IMAGE_SUFFIXES]
        if not images:
            raise InputError(f"The pattern {source} matches no images.")
        yield from images


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"There is no file {path}.") from None
    except IsADirectoryError:
        raise ImageError(f"{path} is a folder, not an image.") from None
    except ValueError as error:  # a NUL in the name
        raise ImageError(f"There is no file {str(path)!r}: {error}.") from None
    except OSError as error:
        raise ImageError(f"Cannot read {path}: {error.strerror or error}.") from error


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV's and FFmpeg's own logs off stderr meanwhile: the error raised here says it once."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read when FFmpeg is first used
    log: Any = getattr(cv2.utils, "logging", cv2)  # OpenCV 4.6, which Debian and JetPack bring, has it at the top
    level = log.getLogLevel()
    log.setLogLevel(SILENT)
    try:
        yield
    finally:
        log.setLogLevel(level)


def _refuse_damaged(source: str, data: bytes) -> None:
    """OpenCV decodes the part of a cut JPEG or PNG that is there and leaves the rest grey: look for the end first."""
    if data.startswith(b"\xff\xd8\xff") and not _has_jpeg_end(data):
        raise ImageError(f"{source} is cut short: the end of the JPEG is missing.")
    if data.startswith(PNG_SIGNATURE):
        _refuse_damaged_png(source, data)


def _has_jpeg_end(data: bytes) -> bool:
    """Whether an end marker follows the first scan; markers inside header segments (an EXIF thumbnail's) do not count."""
    position = 2
    while position + 4 <= len(data):
        marker = data[position + 1]
        if data[position] != 0xFF or marker in (0x00, 0xFF):  # padding, or stray bytes, which decoders pass over
            position += 1
        elif marker == 0xDA:  # start of scan: compressed data from here on
            return data.find(b"\xff\xd9", position) >= 0
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False


def _refuse_damaged_png(source: str, data: bytes) -> None:
    """Walk the chunks to the end chunk; those that the picture needs (upper-case names) must have their checksum."""
    position, kind = len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + 12 + length
        if end > len(data):
            raise ImageError(f"{source} is cut short: the end of the PNG is missing.")
        kind = data[position + 4 : position + 8]
        checksum = int.from_bytes(data[end - 4 : end], "big")
        if kind[:1].isupper() and zlib.crc32(memoryview(data)[position + 4 : end - 4]) != checksum:
            raise ImageError(f"{source} is damaged: a checksum of the PNG is wrong.")
        position = end


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return len(content).to_bytes(4, "big") + kind + content + checksum.to_bytes(4, "big")
