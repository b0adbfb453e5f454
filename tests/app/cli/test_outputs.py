"""Where the pictures go."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from br2net.cli.outputs import plan_outputs, without_earlier_outputs
from br2net.errors import InputError
from br2net.runtime.images import write_png

PIXELS = np.zeros((2, 2), np.uint8)


def planned(paths: list[Path], folder: Path) -> list[str]:
    return [place.blur.name for place in plan_outputs(paths, folder).values()]


def test_numbers_go_on_where_a_stem_is_taken(tmp_path: Path) -> None:
    paths = [Path(f"{folder}/{name}") for folder in "xyz" for name in ("a.jpg", "a-2.jpg")]
    assert planned(paths, tmp_path) == [
        "a_blur.png",
        "a-2_blur.png",
        "a-3_blur.png",
        "a-2-2_blur.png",
        "a-4_blur.png",
        "a-2-3_blur.png",
    ]


def test_names_that_differ_in_case_alone_count_as_the_same(tmp_path: Path) -> None:
    assert planned([Path("x/a.jpg"), Path("x/A.png")], tmp_path) == ["a_blur.png", "A-2_blur.png"]


def test_an_input_is_not_chosen_even_where_it_does_not_exist(tmp_path: Path) -> None:
    assert planned([tmp_path / "a.jpg", tmp_path / "a_overlay.png"], tmp_path)[0] == "a-2_blur.png"


def test_an_input_behind_a_link_is_not_chosen(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    cv2.imwrite(str(tmp_path / "precious.png"), PIXELS)
    (output / "a_blur.png").symlink_to(tmp_path / "precious.png")
    assert planned([tmp_path / "a.jpg", tmp_path / "precious.png"], output)[0] == "a-2_blur.png"


def test_an_earlier_picture_is_replaced_and_any_other_file_is_not(tmp_path: Path) -> None:
    write_png(tmp_path / "a_blur.png", PIXELS)
    cv2.imwrite(str(tmp_path / "b_blur.png"), PIXELS)
    assert planned([Path("x/a.jpg"), Path("x/b.jpg")], tmp_path) == ["a_blur.png", "b-2_blur.png"]


def test_thousands_of_photographs_of_one_stem_are_planned_quickly(tmp_path: Path) -> None:
    paths = [Path(f"{index}/frame.png") for index in range(2000)]
    assert planned(paths, tmp_path)[-1] == "frame-2000_blur.png"


def test_the_output_folder_cannot_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        plan_outputs([Path("a.jpg")], tmp_path / "file")


def test_earlier_pictures_of_these_photographs_are_left_out(tmp_path: Path) -> None:
    for name in ("a_blur.png", "a-2_overlay.png", "c_blur.png"):
        write_png(tmp_path / name, PIXELS)
    cv2.imwrite(str(tmp_path / "a_overlay.png"), PIXELS)
    names = ["a.jpg", "a_blur.png", "a-2_overlay.png", "a_overlay.png", "c_blur.png"]
    kept = without_earlier_outputs([tmp_path / name for name in names], tmp_path)
    assert [path.name for path in kept] == ["a.jpg", "a_overlay.png", "c_blur.png"]


def test_pictures_in_another_folder_are_inputs(tmp_path: Path) -> None:
    write_png(tmp_path / "a_blur.png", PIXELS)
    paths = [tmp_path / "a.jpg", tmp_path / "a_blur.png"]
    assert without_earlier_outputs(paths, tmp_path / "out") == paths
