"""File suffixes and hashes, and files that are written whole or not at all (a temporary file, then a rename)."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from br2net.errors import InputError

AnyPath = str | os.PathLike[str]
"""What public functions take as a path."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"}
    | {".wmv", ".flv", ".3gp", ".mjpg", ".mjpeg"}
)
CHECKPOINT_SUFFIXES = (".pth", ".pt")
ENGINE_SUFFIXES = (".engine", ".plan")


@contextmanager
def written_whole(path: AnyPath) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; rename it to `path` when the block ends without an error.

    The temporary file keeps the suffix of `path`, so that writers which look at it choose the same format. It is
    removed when the block raises; what stood at `path` before stays then as it was.

    Raises:
        InputError: if the folder cannot be made or written to, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise cannot_write(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def cache_folder() -> Path:
    """Return the user's folder for files that can be made again: BR2NET_CACHE, or the system's cache folder."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("BR2NET_CACHE") or user_cache_path("br2net", appauthor=False))


def sha256_of(path: AnyPath) -> str:
    """Return the SHA-256 of a file as hex digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_writable(path: AnyPath) -> None:
    """Find out before long work whether its result can be written to `path`; nothing is left behind but the folder.

    Raises:
        InputError: if the folder cannot be made or written to.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise cannot_write(path, error) from error


def check_suffix(path: Path, *suffixes: str) -> None:
    """Refuse a file to write whose name does not end in one of `suffixes`.

    Raises:
        InputError: if so.
    """
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{path} must end in {' or '.join(suffixes)}.")


def write_bytes(path: AnyPath, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: AnyPath, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    write_bytes(path, text.encode())


def cannot_write(path: Path, error: OSError) -> InputError:
    """One sentence for what the system refused; a file that stands where a folder must be is named."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        blocking = next((parent for parent in path.parents if parent.is_file()), None)
        if blocking is not None:
            return InputError(f"Cannot write {path}: {blocking} is a file, not a folder.")
    return InputError(f"Cannot write {path}: {error.strerror or error}.")
