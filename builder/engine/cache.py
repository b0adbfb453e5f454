"""Engines built once and kept: one folder per key in the user's cache folder."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from br2net.errors import ModelError
from br2net.files import cache_folder
from br2net.runtime.engine_file import Library, Profile, check_intact, parse_plan_header, read_record
from br2net.runtime.gpu import Gpu


@dataclass(frozen=True)
class EngineKey:
    """All that decides whether a cached engine is the wanted one."""

    onnx_sha256: str
    precision: str
    profile: Profile
    library: Library
    gpu: Gpu

    def digest(self) -> str:
        """24 hex digits that differ when any part differs."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:24]

    def path(self, name: str) -> Path:
        """Where the engine of this key, of a model called `name`, is kept."""
        return cache_folder() / "engines" / f"{name}-{self.precision}-{self.digest()}.engine"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes out of `path` for the length of the block; they wait."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(path) + ".lock"):
        yield


def cached_engine(path: Path, build: Callable[[Path], object]) -> Path:
    """`path`, after `build(path)` made it where it was not there whole. Others who want the same wait for the first.

    Raises:
        Br2netError: what `build` raises.
    """
    with locked(path):
        if not _is_whole(path):
            build(path)
    return path


def _is_whole(path: Path) -> bool:
    """Whether engine and sidecar are there and belong together."""
    try:
        plan = path.read_bytes()
        check_intact(path, plan, parse_plan_header(plan, str(path)), read_record(path))
    except (OSError, ModelError):
        return False
    return True
