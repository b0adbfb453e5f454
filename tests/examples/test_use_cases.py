"""The examples of use, each on photographs blurred here by a disc, whose truth is known."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from br2net.builder.comparison import packaged_photograph
from tests.live.pipeline.test_focus import disc_blur

from .conftest import Example


@pytest.fixture
def burst(tmp_path: Path) -> Path:
    """Three of one flower, the second in focus, all a little moved; and an unlike photograph that is wholly blurred."""
    folder = tmp_path / "burst"
    folder.mkdir()
    flower = packaged_photograph()
    for number, radius in enumerate((4.0, 0.0, 2.0)):
        moved = np.roll(flower, 2 * number, axis=1)
        cv2.imwrite(str(folder / f"{number}.png"), disc_blur(moved, radius) if radius else moved)
    cv2.imwrite(str(folder / "3.png"), disc_blur(flower[::-1, ::-1].copy(), 12.0))
    (folder / "4.jpg").write_bytes(b"no image")
    return folder


def test_one_photograph_is_drawn_over(example: Example, burst: Path, tmp_path: Path) -> None:
    ended = example("detect", burst / "1.png", tmp_path / "over.png")
    assert ended.returncode == 0, ended.stderr
    over = cv2.imread(str(tmp_path / "over.png"))
    assert over is not None and over.shape == packaged_photograph().shape


def test_photographs_are_sorted_and_the_best_of_a_burst_is_the_one_in_focus(
    example: Example, burst: Path, tmp_path: Path
) -> None:
    ended = example("sort_photos", burst, "--sheet", tmp_path / "sheet.jpg")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0] == f"left out: {burst / '4.jpg'} is damaged, or not an image that OpenCV can read."
    assert lines[-1] == f"best of 3: {burst / '1.png'}"
    order = [Path(line.split()[-1]).name for line in lines[1:-1]]
    assert order[0] == "1.png" and order[-1] == "3.png"
    sheet = cv2.imread(str(tmp_path / "sheet.jpg"))
    assert sheet is not None and sheet.shape == (240, 960, 3)


def test_photographs_whose_subject_is_blurred_are_rejected(example: Example, burst: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    flower = np.zeros(packaged_photograph().shape[:2], np.uint8)
    cv2.ellipse(flower, (300, 190), (130, 110), 0, 0, 360, 255, -1)
    for number in range(4):
        cv2.imwrite(str(masks / f"{number}.png"), flower if number < 3 else flower[::-1, ::-1])
    listing = tmp_path / "accepted.txt"
    ended = example("gate_dataset", burst, "--masks", masks, "-o", listing, "--least", 0.5)
    assert ended.returncode == 3, ended.stderr
    accepted = [Path(line).name for line in listing.read_text(encoding="utf-8").splitlines()]
    assert "1.png" in accepted and "3.png" not in accepted and "0.png" not in accepted
    assert "rejected 4.jpg: " in ended.stdout
    assert ended.stdout.splitlines()[-1] == f"{len(accepted)} of 5 photographs pass."


@pytest.mark.slow
@pytest.mark.parametrize("name", ["detect", "sort_photos", "gate_dataset", "camera_health", "focus_sweep"])
def test_what_is_missing_is_refused_in_one_sentence(example: Example, tmp_path: Path, name: str) -> None:
    missing = tmp_path / "no_such.mp4"
    ended = example(name, missing, *([tmp_path / "over.png"] if name == "detect" else []))
    assert ended.returncode == 2 and "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith(f"{name}.py: error: ") and str(missing) in ended.stderr


@pytest.mark.slow
def test_a_lens_that_gets_dirty_is_told_and_its_cleaning_as_well(example: Example, tmp_path: Path) -> None:
    flower = cv2.resize(packaged_photograph(), (320, 224), interpolation=cv2.INTER_AREA)
    dirty = disc_blur(np.asarray(flower, np.uint8), 6.0)
    writer = cv2.VideoWriter(str(tmp_path / "day.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 1.0, (320, 224))
    for second in range(100):
        passer_by = second in (25, 26)
        writer.write(dirty if passer_by or 40 <= second < 70 else flower)
    writer.release()
    ended = example("camera_health", tmp_path / "day.avi", "--learn", 10, "--window", 10, "--every", 1)
    assert ended.returncode == 0, ended.stderr
    times, sentences = zip(*(line.strip().split(" min  ") for line in ended.stdout.splitlines()[:-1]), strict=True)
    assert [sentence.split(":")[0] for sentence in sentences] == ["learned", "look at the lens", "well again"]
    assert 40 <= 60 * float(times[1]) <= 55 and 70 <= 60 * float(times[2]) <= 85
    assert ended.stdout.splitlines()[-1].endswith("in order")
