"""Near-duplicates, spread, and the choice that follows from a seed."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from br2net.calibration.frames import SourceFrame
from br2net.calibration.selection import Candidate, perceptual_hash, select, spread, without_near_duplicates
from br2net.runtime.backends import open_backend

from .conftest import Frame


def sources(frames: list[Frame]) -> list[SourceFrame]:
    return [SourceFrame(f"{index}.png", f"{index}", frame) for index, frame in enumerate(frames)]


def candidate(name: str, blurred: float = 0.5, brightness: float = 0.5, look: int = 0) -> Candidate:
    return Candidate(name, name, np.zeros((1, 1, 3), np.uint8), None, look, brightness, blurred)


def bits_apart(one: Frame, other: Frame) -> int:
    hashes = [perceptual_hash(cv2.cvtColor(item, cv2.COLOR_BGR2GRAY)) for item in (one, other)]
    return (hashes[0] ^ hashes[1]).bit_count()


def test_a_compressed_darkened_smaller_copy_is_a_near_duplicate_and_another_photograph_is_not(
    photographs: list[Frame],
) -> None:
    frame = photographs[0]
    _, data = cv2.imencode(".jpg", cv2.resize(frame, None, fx=0.7, fy=0.7), [cv2.IMWRITE_JPEG_QUALITY, 40])
    copy = cv2.convertScaleAbs(cv2.imdecode(data, cv2.IMREAD_COLOR), alpha=0.9)
    assert bits_apart(frame, np.asarray(copy, np.uint8)) <= 4
    assert min(bits_apart(frame, other) for other in photographs[1:]) > 4


def test_of_near_duplicates_the_first_is_kept_and_none_that_looks_like_what_is_taken() -> None:
    looks = {"a": 0b0, "b": 0b1111, "c": 0b11111, "d": 0xFF00, "e": 0xFFFF0000}
    items = [candidate(name, look=look) for name, look in looks.items()]
    assert [item.name for item in without_near_duplicates(items)] == ["a", "c", "d", "e"]
    assert [item.name for item in without_near_duplicates(items, [0xFFFF0001])] == ["a", "c", "d"]


def test_a_choice_is_even_over_blurred_fraction_and_brightness_where_the_frames_are_not() -> None:
    many = [candidate(f"many{index}", 0.1, 0.1) for index in range(90)]
    few = [candidate(f"few{index}", 0.9, 0.9) for index in range(20)]
    chosen = spread([*many, *few], 30, np.random.default_rng(0))
    assert Counter(item.blurred_fraction for item in chosen) == {0.1: 15, 0.9: 15}


def test_the_same_seed_chooses_the_same_set_and_another_seed_another(model: Path, photographs: list[Frame]) -> None:
    with open_backend(model) as backend:
        first, again, other = (
            [item.name for item in select(sources(photographs), backend, 12, seed).frames] for seed in (0, 0, 1)
        )
    assert first == again != other


def test_copies_are_dropped_and_counted_and_the_gates_images_are_none_of_the_set(
    model: Path, photographs: list[Frame]
) -> None:
    with open_backend(model) as backend:
        chosen = select(sources([*photographs, *photographs[:5]]), backend, 100)
    names = {item.name for item in chosen.frames}
    assert chosen.left_out["near-duplicates"] >= 5
    assert len(chosen.held_out) == round(0.2 * (len(names) + len(chosen.held_out)))
    assert names.isdisjoint(item.name for item in chosen.held_out)
