"""From what a user names to a calibration set and the images of the gate."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from br2net.calibration.frames import SourceFrame, read_sources
from br2net.calibration.gate import GateImage
from br2net.calibration.manifest import Manifest, manifest_of
from br2net.calibration.selection import CalibrationSet, Candidate, look_at, select
from br2net.datasets.pairs import Pair, find_pairs, read_mask, read_pair, read_split
from br2net.errors import InputError
from br2net.files import sha256_of, write_text
from br2net.runtime.backend import Backend
from br2net.runtime.backends import open_backend
from br2net.runtime.images import write_png

LARGEST_SET = 512
CANDIDATES_PER_FRAME = 3  # so many are looked at for each that is wanted
MANIFEST_NAME = "calibration-set.json"  # beside the files that `collect` writes


@dataclass(frozen=True)
class SetRequest:
    """What a user names.

    Attributes:
        sources: see `read_sources`.
        split: text file of stems; only these images are taken from folders.
        size: at most so many frames.
        seed: of every random choice.
        gate: a data set, images with masks, for the gate; None holds some of the frames out.
        gate_split: text file of stems of that data set.
        manifest: of an earlier set, which is taken again.
    """

    sources: tuple[str, ...]
    split: Path | None = None
    size: int = LARGEST_SET
    seed: int = 0
    gate: Path | None = None
    gate_split: Path | None = None
    manifest: Path | None = None

    def __post_init__(self) -> None:
        if not self.sources:
            raise InputError("No images to calibrate on were named: --images DIR, a video, or a camera.")
        if not 1 <= self.size <= 10_000:
            raise InputError(f"A calibration set of {self.size} frames is not possible; 1 to 10000 are.")


@dataclass(frozen=True, eq=False)
class Gathered:
    """A calibration set, its manifest, and the images of the gate."""

    chosen: CalibrationSet
    manifest: Manifest
    gate: tuple[GateImage, ...]


def gather(model: Path, request: SetRequest) -> Gathered:
    """Choose a calibration set for a float32 model, and images outside of it for the gate.

    Raises:
        InputError: if what was named is not there, or useless as a calibration set.
    """
    with open_backend(model) as backend:
        if request.manifest is not None:
            avoid = _gate_candidates(request, backend)
            chosen = _again(Manifest.read(request.manifest), request, backend)
            _refuse_unfit_manifest(request.manifest, chosen, avoid)
        else:
            avoid = _gate_candidates(request, backend)
            chosen = select(_sources(request), backend, request.size, request.seed, not avoid, avoid)
        manifest = manifest_of(chosen, backend.metadata)
    gate = tuple(GateImage(item.name, item.frame, _mask(item.pair)) for item in (*chosen.held_out, *avoid))
    return Gathered(chosen, manifest, gate)


def collect(model: Path, request: SetRequest, folder: Path) -> CalibrationSet:
    """Write a calibration set as PNG files into a folder, which a later `--images` names, with its manifest.

    Frames keep the size of the network's input, so that preprocessing leaves them as they are. The folder appears whole
    or not at all.

    Raises:
        InputError: if the frames are useless as a calibration set, or the folder holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already and not an empty folder.")
    with open_backend(model) as backend:
        chosen = select(_sources(request), backend, request.size, request.seed, hold_out=False)
        manifest = manifest_of(chosen, backend.metadata)
    digits = len(str(len(chosen.frames)))
    entries = []
    with _folder_written_whole(folder) as temporary:
        for index, (item, entry) in enumerate(zip(chosen.frames, manifest.frames, strict=True)):
            path = temporary / f"{index:0{digits}}.png"
            write_png(path, item.frame)
            entries.append(replace(entry, name=path.name, sha256=sha256_of(path), source=item.name))
        write_text(temporary / MANIFEST_NAME, replace(manifest, frames=tuple(entries)).to_json())
    return chosen


@contextmanager
def _folder_written_whole(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`, which becomes it when the block ends without an error."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
            inner = Path(name) / folder.name
            inner.mkdir()
            yield inner
            inner.replace(folder)
    except OSError as error:
        raise InputError(f"Cannot write {folder}: {error.strerror or error}.") from error


def _sources(request: SetRequest) -> Iterator[SourceFrame]:
    split = None if request.split is None else frozenset(read_split(request.split))
    return read_sources(request.sources, split, request.size * CANDIDATES_PER_FRAME, request.seed)


def _again(manifest: Manifest, request: SetRequest, backend: Backend) -> CalibrationSet:
    split = None if request.split is None else frozenset(read_split(request.split))
    sources = manifest.matching(read_sources(request.sources, split, np.iinfo(np.int64).max, request.seed))
    candidates, left_out, seen = look_at(sources, backend)
    count = len(manifest.frames)
    return CalibrationSet(tuple(candidates[:count]), tuple(candidates[count:]), manifest.seed, seen, dict(left_out))


def _refuse_unfit_manifest(path: Path, chosen: CalibrationSet, gate: Sequence[Candidate]) -> None:
    """A set that was fixed before has to leave the gate something, and may not hold any of the gate's images."""
    if not chosen.held_out and not gate:
        raise InputError(f"{path} holds no images out for the gate; name some with --gate.")
    own = {item.sha256 for item in chosen.frames}
    common = [item.name for item in gate if item.sha256 in own]
    if common:
        raise InputError(f"{len(common)} images of --gate are in the calibration set of {path}, as {common[0]}.")


def _gate_candidates(request: SetRequest, backend: Backend) -> tuple[Candidate, ...]:
    if request.gate is None:
        return ()
    pairs = find_pairs(request.gate, request.gate_split)
    sources = (SourceFrame(pair.image.name, sha256_of(pair.image), read_pair(pair)[0], pair) for pair in pairs)
    candidates, _, _ = look_at(sources, backend)
    if not candidates:
        raise InputError(f"{request.gate} holds no photograph that the gate could compare on.")
    return tuple(candidates)


def _mask(pair: Pair | None) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None":
    return None if pair is None else read_mask(pair)
