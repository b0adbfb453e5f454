"""The manifest of a calibration set: what makes it reproducible."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from br2net.calibration.frames import SourceFrame
from br2net.calibration.selection import CalibrationSet, Candidate
from br2net.errors import InputError
from br2net.runtime.metadata import ModelMetadata

FORMAT = "br2net-calibration-set-1"


@dataclass(frozen=True)
class ManifestEntry:
    """One frame: where it came from, and what it was chosen by.

    Attributes:
        name: file name; of a video with the number of the frame behind it, as `street.mp4#120`.
        sha256: of the file's bytes, or of the pixels of a video's frame.
        brightness: mean grey level, 0..1.
        blurred_fraction: share of blurred pixels in the float32 model's map.
        source: of a frame that `--collect` wrote into a file: what it was before, as `street.mp4#120`.
    """

    name: str
    sha256: str
    brightness: float
    blurred_fraction: float
    source: str = ""


@dataclass(frozen=True)
class Manifest:
    """A calibration set without its pixels.

    Attributes:
        seed: of every random choice.
        preprocessing: input size and normalisation, and how frames are resized.
        frames, held_out: in the order they were chosen.
    """

    seed: int
    preprocessing: dict[str, object]
    frames: tuple[ManifestEntry, ...]
    held_out: tuple[ManifestEntry, ...]

    def to_json(self) -> str:
        """Indented JSON, the inverse of `from_json`."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Read what `to_json` wrote.

        Raises:
            InputError: if the file is missing or no manifest.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("format") != FORMAT:
                raise ValueError("another format")
            for part in ("frames", "held_out"):
                content[part] = tuple(ManifestEntry(**entry) for entry in content[part])
            return cls(**content)
        except OSError as error:
            raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path} is no manifest of a calibration set.") from error

    def digest(self) -> str:
        """Hash of all that decides what calibration sees: frames in order, and preprocessing."""
        facts = [self.preprocessing, [entry.sha256 for entry in self.frames]]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def matching(self, sources: Iterable[SourceFrame]) -> list[SourceFrame]:
        """The frames of this manifest among `sources`, in its order, those to calibrate on first.

        Raises:
            InputError: if one is not among them, or is another by its hash.
        """
        wanted = [entry.sha256 for entry in (*self.frames, *self.held_out)]
        found = {source.sha256: source for source in sources if source.sha256 in set(wanted)}
        missing = [entry.name for entry in (*self.frames, *self.held_out) if entry.sha256 not in found]
        if missing:
            raise InputError(
                f"{len(missing)} of the manifest's {len(wanted)} frames are not among the images or were changed, "
                f"as {missing[0]}."
            )
        return [found[sha256] for sha256 in wanted]


def manifest_of(chosen: CalibrationSet, metadata: ModelMetadata) -> Manifest:
    """The manifest of a set for a model."""
    preprocessing: dict[str, object] = {
        "width": metadata.width,
        "height": metadata.height,
        "mean": list(metadata.normalisation.mean),
        "std": list(metadata.normalisation.std),
        "resize": "area where shrinking, bilinear where enlarging",
    }
    return Manifest(chosen.seed, preprocessing, _entries(chosen.frames), _entries(chosen.held_out))


def _entries(candidates: Sequence[Candidate]) -> tuple[ManifestEntry, ...]:
    return tuple(
        ManifestEntry(item.name, item.sha256, round(item.brightness, 4), round(item.blurred_fraction, 4))
        for item in candidates
    )
