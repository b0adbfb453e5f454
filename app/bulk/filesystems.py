"""Files by path or URL, through fsspec."""

import os
import posixpath
from typing import Any

from br2net.errors import InputError
from br2net.files import write_bytes

LOCAL = ("file", "local")


def open_filesystem(url: str) -> tuple[Any, str]:
    """The file system that a path or URL lies in, and its path there.

    Raises:
        InputError: if there is no such kind of file system, or its package is not installed.
    """
    import fsspec

    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise InputError(f"{url} needs a package that is not installed: {error}.") from error
    except ValueError as error:
        raise InputError(f"{url} cannot be opened: {error}.") from error
    return filesystem, str(path)


def to_url(filesystem: Any, path: str) -> str:
    """How a file is named in results: an absolute path where it is local, else its URL."""
    return os.path.normpath(path) if is_local(filesystem) else str(filesystem.unstrip_protocol(path))


def is_local(filesystem: Any) -> bool:
    """Whether the files are this machine's own."""
    protocol = filesystem.protocol
    return bool(set(LOCAL) & set((protocol,) if isinstance(protocol, str) else protocol))


def is_under(url: str, folder: str) -> bool:
    """Whether a file lies in a folder, by their names."""
    return url.startswith(folder.rstrip("/") + "/")


def write_file(filesystem: Any, path: str, data: bytes) -> None:
    """Write a file, whole or not at all: under a name that readers of Parquet pass over, then renamed.

    Raises:
        InputError: if it cannot be written.
    """
    from pathlib import Path

    if is_local(filesystem):
        write_bytes(Path(path), data)
        return
    folder, name = posixpath.split(path)
    temporary = posixpath.join(folder, f"_{name}.part")
    try:
        filesystem.makedirs(folder, exist_ok=True)
        with filesystem.open(temporary, "wb") as stream:
            stream.write(data)
        filesystem.mv(temporary, path)
    except OSError as error:
        raise InputError(f"Cannot write {to_url(filesystem, path)}: {error}.") from error
