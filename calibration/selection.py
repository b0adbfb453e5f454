"""From many frames to a calibration set: no near-duplicates, spread over blurred fraction and brightness."""

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from br2net.calibration.frames import SourceFrame
from br2net.calibration.usefulness import refuse_useless, why_useless
from br2net.datasets.pairs import Pair
from br2net.runtime.backend import Backend, detect
from br2net.runtime.postprocessing import Wanted
from br2net.runtime.preprocessing import resize
from br2net.types import Frame

NEAR_DUPLICATE_BITS = 4  # of 64
BLUR_BINS, BRIGHTNESS_BINS = 5, 4
HELD_OUT_SHARE, LARGEST_HELD_OUT = 0.2, 64

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A frame at the size of the network's input, and what it is chosen by.

    Attributes:
        name, sha256, pair: of the frame as it came, see `SourceFrame`.
        frame: uint8 `(h, w, 3)` BGR.
        perceptual_hash: 64 bits, alike for images that look alike.
        brightness: mean grey level, 0..1.
        blurred_fraction: share of blurred pixels in the float32 model's map.
    """

    name: str
    sha256: str
    frame: Frame
    pair: Pair | None
    perceptual_hash: int
    brightness: float
    blurred_fraction: float


@dataclass(frozen=True, eq=False)
class CalibrationSet:
    """Frames to calibrate on, and those held out of them for the gate.

    Attributes:
        frames: to calibrate on, in the order they were chosen.
        held_out: none of `frames`; empty where the gate has images of its own.
        seed: of the choice.
        seen, left_out: frames that were looked at, and how many were left out for which reason.
    """

    frames: tuple[Candidate, ...]
    held_out: tuple[Candidate, ...]
    seed: int
    seen: int
    left_out: dict[str, int]

    def summary(self) -> str:
        """One sentence for a reader."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
        held_out = f", {len(self.held_out)} held out for the gate" if self.held_out else ""
        return f"{len(self.frames)} of {self.seen} frames{held_out}" + (f" (left out: {reasons})" if reasons else "")


def look_at(sources: Iterable[SourceFrame], model: Backend) -> tuple[list[Candidate], Counter[str], int]:
    """Candidates among frames, counts of those left out by reason, and the number of frames seen."""
    candidates: list[Candidate] = []
    left_out: Counter[str] = Counter()
    seen = 0
    for source in sources:
        seen += 1
        frame = resize(source.frame, model.width, model.height)
        own_size = source.frame.shape[0] * source.frame.shape[1]
        reason = why_useless(frame if own_size > model.width * model.height else source.frame)  # enlarging hides noise
        if reason is not None:
            left_out[reason] += 1
            continue
        (outputs,) = detect(model, [frame], Wanted.FRACTION)
        assert outputs.blurred_fraction is not None
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        look = perceptual_hash(grey)
        brightness = float(grey.mean()) / 255.0
        candidates.append(
            Candidate(source.name, source.sha256, frame, source.pair, look, brightness, outputs.blurred_fraction)
        )
    return candidates, left_out, seen


def select(
    sources: Iterable[SourceFrame],
    model: Backend,
    size: int,
    seed: int = 0,
    hold_out: bool = True,
    avoid: Collection[Candidate] = (),
) -> CalibrationSet:
    """Choose a calibration set.

    Args:
        sources: frames to choose from.
        model: the float32 model; its maps give the blurred fraction.
        size: at most so many frames.
        seed: of every random choice; the same frames and seed give the same set.
        hold_out: whether to keep a fifth of the chosen ones, at most 64, for the gate.
        avoid: images of the gate; they, and what looks like them, are left out.

    Raises:
        InputError: if the frames are useless as a calibration set.
    """
    candidates, useless, seen = look_at(sources, model)
    distinct = without_near_duplicates(candidates, [item.perceptual_hash for item in avoid])
    refuse_useless(seen, useless, len(distinct))
    alone = len(without_near_duplicates(candidates)) if avoid else len(distinct)
    left_out = useless + Counter({"near-duplicates": len(candidates) - alone, "of the gate": alone - len(distinct)})
    chosen = spread(distinct, size, np.random.default_rng(seed))
    count = min(round(HELD_OUT_SHARE * len(chosen)), LARGEST_HELD_OUT) if hold_out else 0
    every = len(chosen) // count if count else 0
    held_out = chosen[::every][:count] if count else []
    names = {id(item) for item in held_out}
    frames = [item for item in chosen if id(item) not in names]
    return CalibrationSet(tuple(frames), tuple(held_out), seed, seen, dict(left_out))


def perceptual_hash(grey: NDArray[np.generic]) -> int:
    """Difference hash: 64 bits that say whether brightness falls from each of 9x8 areas to the next on the right."""
    small = cv2.resize(np.asarray(grey, np.uint8), (9, 8), interpolation=cv2.INTER_AREA)
    bits = (small[:, :-1] > small[:, 1:]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def without_near_duplicates(candidates: Sequence[Candidate], taken: Sequence[int] = ()) -> list[Candidate]:
    """Return those whose hash differs by more than four bits from `taken` and from every earlier one that is kept."""
    hashes = list(taken)
    kept = []
    for candidate in candidates:
        own = candidate.perceptual_hash
        if all((own ^ other).bit_count() > NEAR_DUPLICATE_BITS for other in hashes):
            hashes.append(own)
            kept.append(candidate)
    return kept


def spread(candidates: Sequence[Candidate], size: int, rng: np.random.Generator) -> list[Candidate]:
    """At most `size` of them, taken in turn from cells of blurred fraction and brightness, at random within a cell."""
    cells: dict[tuple[int, int], list[Candidate]] = defaultdict(list)
    for index in rng.permutation(len(candidates)):
        item = candidates[index]
        blur = min(int(item.blurred_fraction * BLUR_BINS), BLUR_BINS - 1)
        brightness = min(int(item.brightness * BRIGHTNESS_BINS), BRIGHTNESS_BINS - 1)
        cells[blur, brightness].append(item)
    queues = [cells[key] for key in sorted(cells)]
    chosen: list[Candidate] = []
    while len(chosen) < size and any(queues):
        for queue in queues:
            if queue and len(chosen) < size:
                chosen.append(queue.pop())
    return chosen
