"""Calibration sets on disk: collected, reproduced from a manifest, and told apart from the gate's images."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from br2net.calibration import SetRequest, collect, gather, gathering
from br2net.calibration.frames import read_sources
from br2net.calibration.manifest import Manifest
from br2net.errors import InputError

from .conftest import Frame


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def video(tmp_path: Path, photographs: list[Frame]) -> Path:
    """A video in which every photograph stands still for four frames."""
    path = tmp_path / "street.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (320, 240))
    for frame in photographs:
        for _ in range(4):
            writer.write(cv2.resize(frame, (320, 240)))
    writer.release()
    return path


def test_collecting_from_a_video_drops_frames_that_stand_still(model: Path, video: Path, tmp_path: Path) -> None:
    chosen = collect(model, SetRequest((str(video),)), tmp_path / "set")
    pictures = sorted((tmp_path / "set").glob("*.png"))
    assert chosen.seen == 120
    assert len(chosen.frames) == len(pictures) == 120 - chosen.left_out["near-duplicates"] <= 30
    assert {cv2.imread(str(path)).shape for path in pictures} == {(64, 64, 3)}


def test_a_collected_folder_is_a_calibration_set_that_its_manifest_reproduces(
    model: Path, video: Path, tmp_path: Path
) -> None:
    collect(model, SetRequest((str(video),), size=12), tmp_path / "set")
    manifest = Manifest.read(tmp_path / "set" / "calibration-set.json")
    again = manifest.matching(read_sources([str(tmp_path / "set")], None, 100, 0))
    assert [item.name for item in again] == [entry.name for entry in manifest.frames]
    with pytest.raises(InputError, match="holds no images out for the gate"):
        gather(model, SetRequest((str(tmp_path / "set"),), manifest=tmp_path / "set" / "calibration-set.json"))
    assert all(entry.source.startswith("street.avi#") for entry in manifest.frames)


def test_an_interrupted_collection_leaves_nothing(
    model: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gathering, "write_text", interrupt)
    before = names(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        collect(model, SetRequest((str(video),), size=12), tmp_path / "set")
    assert names(tmp_path) == before


def test_a_folder_that_holds_something_is_not_collected_into(model: Path, video: Path, photo_folder: Path) -> None:
    with pytest.raises(InputError, match="is there already and not an empty folder"):
        collect(model, SetRequest((str(video),)), photo_folder)
    assert len(names(photo_folder)) == 30


def test_a_manifest_takes_the_same_set_again_in_the_same_order(model: Path, photo_folder: Path, tmp_path: Path) -> None:
    first = gather(model, SetRequest((str(photo_folder),), size=15, seed=7))
    (tmp_path / "set.json").write_text(first.manifest.to_json(), encoding="utf-8")
    again = gather(model, SetRequest((str(photo_folder),), manifest=tmp_path / "set.json"))
    assert again.manifest == first.manifest
    assert [image.name for image in again.gate] == [image.name for image in first.gate]
    assert all((a.frame == b.frame).all() for a, b in zip(again.gate, first.gate, strict=True))


def test_a_manifest_refuses_a_photograph_that_was_changed(model: Path, photo_folder: Path, tmp_path: Path) -> None:
    manifest = gather(model, SetRequest((str(photo_folder),))).manifest
    (tmp_path / "set.json").write_text(manifest.to_json(), encoding="utf-8")
    cv2.imwrite(str(photo_folder / manifest.frames[0].name), np.full((90, 90, 3), 80, np.uint8))
    with pytest.raises(InputError, match=rf"1 of the manifest's .* as {manifest.frames[0].name}"):
        gather(model, SetRequest((str(photo_folder),), manifest=tmp_path / "set.json"))


def test_a_manifest_holds_what_makes_a_set_reproducible(model: Path, photo_folder: Path) -> None:
    manifest = gather(model, SetRequest((str(photo_folder),), seed=3)).manifest
    content = json.loads(manifest.to_json())
    assert content["seed"] == 3
    assert content["preprocessing"] == {
        "width": 64,
        "height": 64,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "resize": "area where shrinking, bilinear where enlarging",
    }
    assert all(len(entry["sha256"]) == 64 for entry in content["frames"])


def test_the_gates_photographs_are_none_of_the_set_also_under_another_name(
    model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    for kind in ("images", "masks"):
        (tmp_path / "gate" / kind).mkdir(parents=True)
    for index in range(5):
        shutil.copy(photo_folder / f"{index:02}.png", tmp_path / "gate" / "images" / f"other{index}.png")
        mask = np.full(cv2.imread(str(photo_folder / f"{index:02}.png")).shape[:2], 255, np.uint8)
        cv2.imwrite(str(tmp_path / "gate" / "masks" / f"other{index}.png"), mask)
    found = gather(model, SetRequest((str(photo_folder),), gate=tmp_path / "gate"))
    assert {entry.name for entry in found.manifest.frames}.isdisjoint(f"{index:02}.png" for index in range(5))
    assert [image.name for image in found.gate] == [f"other{index}.png" for index in range(5)]
    assert all(image.mask is not None for image in found.gate)
    assert found.manifest.held_out == ()
    assert found.chosen.left_out == {"of the gate": 5}
