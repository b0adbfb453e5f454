"""Photographs and masks in the layouts that data sets come in."""

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from br2net.datasets.pairs import Pair, find_pairs, read_mask, read_pair, read_split
from br2net.errors import DatasetError


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


def make_set(
    folder: Path, images: str, masks: str, names: tuple[str, ...] = ("a", "b", "c"), mask_suffix: str = ".png"
) -> Path:
    for name in names:
        write(folder / images / f"{name}.jpg", np.full((6, 8, 3), 90, np.uint8))
        mask = np.zeros((6, 8), np.uint8)
        mask[:, 4:] = 255
        write(folder / masks / f"{name}{mask_suffix}", mask)
    return folder


def test_images_and_masks_are_paired_by_stem(tmp_path: Path) -> None:
    pairs = find_pairs(make_set(tmp_path, "images", "masks"))
    assert [pair.name for pair in pairs] == ["a", "b", "c"]
    assert pairs[0] == Pair(tmp_path / "images/a.jpg", tmp_path / "masks/a.png", "a", inverted=False)


@pytest.mark.parametrize(("images", "masks"), [("image", "gt"), ("Source", "GT"), ("Imgs", "Mask")])
def test_the_usual_folder_names_are_known_in_any_case(tmp_path: Path, images: str, masks: str) -> None:
    assert len(find_pairs(make_set(tmp_path, images, masks))) == 3


def test_the_image_folder_itself_may_be_named(tmp_path: Path) -> None:
    assert len(find_pairs(make_set(tmp_path, "images", "masks") / "images")) == 3


def test_shis_motion_blurred_photographs_are_left_out_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_set(tmp_path, "image", "gt", ("motion0001", "out_of_focus0001", "out_of_focus0002"))
    with caplog.at_level(logging.WARNING):
        pairs = find_pairs(tmp_path)
    assert [pair.name for pair in pairs] == ["out_of_focus0001", "out_of_focus0002"]
    assert "1 motion-blurred" in caplog.text


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("DUT500S-Testing", "DUT500GT-Testing"),
        ("DUT600S_Training", "DUT600GT_Training"),
        ("DUT500-Source", "DUT500GT"),
        ("dut500-source", "dut500-gt"),
    ],
)
def test_duts_masks_are_inverted_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, images: str, masks: str
) -> None:
    make_set(tmp_path, images, masks, mask_suffix=".bmp")
    with caplog.at_level(logging.WARNING):
        pairs = find_pairs(tmp_path)
    assert "inverted" in caplog.text
    mask = read_mask(pairs[0])
    assert (mask[0, 0], mask[0, -1]) == (1.0, 0.0)


def test_two_data_sets_in_one_folder_have_to_be_told_apart(tmp_path: Path) -> None:
    make_set(tmp_path, "DUT500S-Testing", "DUT500GT-Testing", ("a",))
    make_set(tmp_path, "DUT600S_Training", "DUT600GT_Training", ("b",))
    with pytest.raises(DatasetError, match="holds 2 data sets"):
        find_pairs(tmp_path)
    assert [pair.name for pair in find_pairs(tmp_path / "DUT600S_Training")] == ["b"]


def test_a_split_chooses_and_orders(tmp_path: Path) -> None:
    make_set(tmp_path, "images", "masks")
    split = tmp_path / "split.txt"
    split.write_text("# chosen\nc\n\na.jpg\n", encoding="utf-8")
    assert [pair.name for pair in find_pairs(tmp_path, split)] == ["c", "a"]


def test_a_split_that_names_an_unknown_photograph_is_refused(tmp_path: Path) -> None:
    make_set(tmp_path, "images", "masks")
    split = tmp_path / "split.txt"
    split.write_text("a\nx\ny\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"names x \(and 1 more\)"):
        find_pairs(tmp_path, split)


def test_a_split_that_names_a_photograph_twice_is_refused(tmp_path: Path) -> None:
    split = tmp_path / "split.txt"
    split.write_text("a\na\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="more than once"):
        read_split(split)


def test_a_missing_split_is_one_sentence(tmp_path: Path) -> None:
    make_set(tmp_path, "images", "masks")
    with pytest.raises(DatasetError, match="Cannot read the split"):
        find_pairs(tmp_path, tmp_path / "none.txt")


def test_a_picture_in_the_place_of_a_split_is_one_sentence_without_codecs(tmp_path: Path) -> None:
    (tmp_path / "split.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(DatasetError, match="it is no text file with one stem a line"):
        read_split(tmp_path / "split.txt")


def test_a_photograph_without_a_mask_is_named(tmp_path: Path) -> None:
    make_set(tmp_path, "images", "masks")
    (tmp_path / "masks" / "b.png").unlink()
    with pytest.raises(DatasetError, match=r"b\.jpg has no mask"):
        find_pairs(tmp_path)


def test_two_photographs_of_one_name_are_refused(tmp_path: Path) -> None:
    make_set(tmp_path, "images", "masks")
    write(tmp_path / "images" / "a.png", np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(DatasetError, match="share one name"):
        find_pairs(tmp_path)


@pytest.mark.parametrize("made", [(), ("images",), ("images", "masks")])
def test_a_folder_without_a_data_set_is_refused(tmp_path: Path, made: tuple[str, ...]) -> None:
    for name in made:
        (tmp_path / name).mkdir()
    with pytest.raises(DatasetError):
        find_pairs(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder"):
        find_pairs(tmp_path / "none")


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.array([[0, 51, 255]], np.uint8), [0.0, 0.2, 1.0]),
        (np.array([[0, 13107, 65535]], np.uint16), [0.0, 0.2, 1.0]),
        (np.array([[0, 1, 1]], np.uint8), [0.0, 1.0, 1.0]),
        (np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8), [0.0, 1.0]),
    ],
)
def test_masks_of_every_depth_become_0_to_1(tmp_path: Path, pixels: np.ndarray, expected: list[float]) -> None:
    path = write(tmp_path / "mask.png", pixels)
    mask = read_mask(Pair(path, path, "mask"))
    assert mask.dtype == np.float32
    np.testing.assert_allclose(mask[0], expected, atol=1e-6)


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_a_mask_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"mask\.png"):
        read_mask(Pair(path, path, "mask"))


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    make_set(tmp_path, "images", "masks")
    write(tmp_path / "masks" / "a.png", np.zeros((6, 9), np.uint8))
    with pytest.raises(DatasetError, match="is 9x6, but"):
        read_pair(find_pairs(tmp_path)[0])


def test_invert_masks_turns_them_around(tmp_path: Path) -> None:
    pairs = find_pairs(make_set(tmp_path, "images", "masks"), invert_masks=True)
    assert read_mask(pairs[0])[0, 0] == 1.0


def test_the_unknown_value_becomes_nan_and_the_others_keep_their_values(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), np.array([[0, 128, 255, 127]], np.uint8))
    plain = read_mask(Pair(path, path, "mask"))
    with_unknown = read_mask(Pair(path, path, "mask", unknown=128))
    assert np.isnan(with_unknown).tolist() == [[False, True, False, False]]
    assert np.array_equal(np.nan_to_num(with_unknown, nan=128 / 255).astype(np.float32), plain)
    turned = read_mask(Pair(path, path, "mask", inverted=True, unknown=128))
    assert np.allclose(turned, 1.0 - with_unknown, equal_nan=True)


def test_find_pairs_passes_on_the_unknown_value(tmp_path: Path) -> None:
    pairs = find_pairs(make_set(tmp_path, "images", "masks"), unknown=128)
    assert {pair.unknown for pair in pairs} == {128}
