"""`br2net detect`, used well and badly."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from br2net.detector import Detector
from br2net.runtime.images import read_image
from br2net.types import Frame

from .conftest import Command


def read(path: Path) -> Frame:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return np.asarray(picture, dtype=np.uint8)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_two_pictures_of_each_photograph_are_written_at_its_size(
    br2net: Command, folder: Path, tmp_path: Path, tiny_onnx: Path
) -> None:
    ended = br2net("detect", folder, "-o", tmp_path / "out", "-m", tiny_onnx)
    assert (ended.code, ended.err) == (0, "")
    shapes = {path.name: read(path).shape for path in (tmp_path / "out").iterdir()}
    assert shapes == {
        "a_blur.png": (100, 150),
        "a_overlay.png": (100, 150, 3),
        "b_blur.png": (64, 150),
        "b_overlay.png": (64, 150, 3),
    }


def test_white_is_blurred_and_the_overlay_leaves_what_is_sharp(
    br2net: Command, folder: Path, tmp_path: Path, tiny_onnx: Path
) -> None:
    br2net("detect", folder / "b.png", "-o", tmp_path / "out", "-m", tiny_onnx, "--precision", "fp32")
    with Detector.load(tiny_onnx, precision="fp32") as detector:
        blur = detector(folder / "b.png").map
    grey, tinted = (read(tmp_path / "out" / f"b_{kind}.png") for kind in ("blur", "overlay"))
    np.testing.assert_allclose(grey, blur * 255.0, atol=0.51)
    weight = 0.6 * blur[:, :, None]
    expected = weight * np.array([235, 80, 30]) + (1.0 - weight) * read(folder / "b.png")
    np.testing.assert_allclose(tinted, expected, atol=0.52)


def test_each_photograph_is_reported_in_one_line(
    br2net: Command, folder: Path, tmp_path: Path, tiny_onnx: Path
) -> None:
    ended = br2net("detect", folder, "-o", tmp_path / "out", "-m", tiny_onnx)
    first, second, last = ended.out.splitlines()
    assert first.startswith(f"{folder / 'a.jpg'}: ")
    assert second.startswith(f"{folder / 'b.png'}: ")
    assert "% blurred (150x64, " in second
    assert last == f"The pictures are in {tmp_path / 'out'}/."


def test_json_is_one_object_for_each_photograph_and_nothing_else(
    br2net: Command, folder: Path, tmp_path: Path, tiny_onnx: Path
) -> None:
    output = tmp_path / "out"
    ended = br2net("detect", folder / "*.png", "-o", output, "-m", tiny_onnx, "--json", "--precision", "fp32")
    (facts,) = map(json.loads, ended.out.splitlines())
    assert list(facts) == ["image", "width", "height", "blurred_fraction", "latency_ms", "map", "overlay"]
    assert (facts["image"], facts["width"], facts["height"]) == (str(folder / "b.png"), 150, 64)
    assert (facts["map"], facts["overlay"]) == (str(output / "b_blur.png"), str(output / "b_overlay.png"))
    assert facts["latency_ms"] > 0
    with Detector.load(tiny_onnx, precision="fp32") as detector:
        blur = detector(folder / "b.png").map
    assert facts["blurred_fraction"] == pytest.approx(float((blur >= 0.5).mean()), abs=1e-4)


def test_bad_files_are_named_while_the_others_go_on(
    br2net: Command, folder: Path, tmp_path: Path, tiny_onnx: Path
) -> None:
    whole = (folder / "a.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("no photograph\n" * 100, encoding="utf-8")
    output = tmp_path / "out"
    ended = br2net("detect", folder / "missing.jpg", folder, "-o", output, "-m", tiny_onnx)
    assert ended.code == 2
    assert ended.err.splitlines() == [
        f"br2net: There is no file {folder / 'missing.jpg'}.",
        f"br2net: {folder / 'cut.jpg'} is cut short: the end of the JPEG is missing.",
        f"br2net: {folder / 'empty.png'} is empty.",
        f"br2net: {folder / 'text.jpg'} is damaged, or not an image that OpenCV can read.",
    ]
    assert sorted(contents(output)) == ["a_blur.png", "a_overlay.png", "b_blur.png", "b_overlay.png"]


def test_a_picture_that_cannot_be_written_is_named_while_the_others_go_on(
    br2net: Command, folder: Path, tmp_path: Path, tiny_onnx: Path
) -> None:
    (folder / "a.jpg").rename(folder / f"{'a' * 251}.jpg")  # no room for `_blur` in a file name
    ended = br2net("detect", folder, "-o", tmp_path / "out", "-m", tiny_onnx)
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert line.startswith("br2net: Cannot write ")
    assert "b_blur.png" in contents(tmp_path / "out")


def test_a_file_where_a_folder_must_be_is_named(br2net: Command, folder: Path, tmp_path: Path, tiny_onnx: Path) -> None:
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    ended = br2net("detect", folder / "a.jpg", "-o", tmp_path / "taken" / "deep", "-m", tiny_onnx)
    assert ended.code == 2
    assert f"{tmp_path / 'taken'} is a file, not a folder." in ended.err
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "mine"


def test_deep_grey_transparent_and_one_pixel_files_have_pictures(
    br2net: Command, tmp_path: Path, tiny_onnx: Path, photograph: Frame
) -> None:
    pictures: dict[str, NDArray[np.uint8] | NDArray[np.uint16]] = {
        "deep": photograph.astype(np.uint16) * 257,
        "grey": photograph[:, :, 0],
        "clear": np.dstack([photograph, photograph[:, :, 0]]),
        "pixel": photograph[:1, :1],
    }
    (tmp_path / "in").mkdir()
    for name, pixels in pictures.items():
        cv2.imwrite(str(tmp_path / "in" / f"{name}.png"), pixels)
    assert br2net("detect", tmp_path / "in", "-o", tmp_path / "out", "-m", tiny_onnx).code == 0
    for name, pixels in pictures.items():
        assert read(tmp_path / "out" / f"{name}_blur.png").shape == pixels.shape[:2]


@pytest.mark.slow
def test_a_hundred_megapixels_have_pictures(br2net: Command, tmp_path: Path, tiny_onnx: Path) -> None:
    path = tmp_path / "huge.png"
    cv2.imwrite(str(path), np.zeros((10_000, 10_000), np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    ended = br2net("detect", path, "-o", tmp_path / "out", "-m", tiny_onnx, "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["width"] == 10_000
    assert read(tmp_path / "out" / "huge_overlay.png").shape == (10_000, 10_000, 3)


def test_photographs_beside_their_pictures_stay_as_they_are_however_often_it_runs(
    br2net: Command, folder: Path, tiny_onnx: Path, photograph: Frame
) -> None:
    cv2.imwrite(str(folder / "a.png"), photograph)
    originals = contents(folder)
    first = br2net("detect", folder, "-o", folder, "-m", tiny_onnx)
    after = contents(folder)
    assert sorted(after.keys() - originals.keys()) == sorted(
        f"{stem}_{kind}.png" for stem in ("a", "a-2", "b") for kind in ("blur", "overlay")
    )
    second = br2net("detect", folder, "-o", folder, "-m", tiny_onnx)
    assert (first.code, second.code) == (0, 0)
    assert second.err == "br2net: left out 6 pictures that an earlier run made.\n"
    assert contents(folder) == after
    assert {name: after[name] for name in originals} == originals


def test_a_photograph_named_like_an_output_is_an_input_and_is_not_overwritten(
    br2net: Command, folder: Path, tiny_onnx: Path, photograph: Frame
) -> None:
    cv2.imwrite(str(folder / "a_blur.png"), photograph[:50])
    original = (folder / "a_blur.png").read_bytes()
    ended = br2net("detect", folder, "-o", folder, "-m", tiny_onnx, "--json")
    places = {Path(facts["image"]).name: Path(facts["map"]).name for facts in map(json.loads, ended.out.splitlines())}
    assert places == {"a.jpg": "a-2_blur.png", "a_blur.png": "a_blur_blur.png", "b.png": "b_blur.png"}
    assert (folder / "a_blur.png").read_bytes() == original


def test_photographs_of_one_stem_are_numbered(
    br2net: Command, folder: Path, tmp_path: Path, tiny_onnx: Path, photograph: Frame
) -> None:
    (folder / "deeper").mkdir()
    cv2.imwrite(str(folder / "deeper" / "a.png"), photograph[:20])
    ended = br2net("detect", folder / "a.jpg", folder / "deeper", "-o", tmp_path / "out", "-m", tiny_onnx)
    assert ended.code == 0
    assert read(tmp_path / "out" / "a_blur.png").shape == (100, 150)
    assert read(tmp_path / "out" / "a-2_blur.png").shape == (20, 150)


def test_a_folder_of_no_images_is_one_sentence(br2net: Command, tmp_path: Path, tiny_onnx: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    ended = br2net("detect", empty, "-m", tiny_onnx)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"br2net: The folder {empty} holds no images")
    assert len(ended.err.splitlines()) == 1


def test_a_pattern_of_no_images_is_one_sentence(br2net: Command, folder: Path, tiny_onnx: Path) -> None:
    ended = br2net("detect", folder / "*.bmp", "-m", tiny_onnx)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"br2net: The pattern {folder / '*.bmp'} matches no images.\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("-m", "telescope"), "telescope is neither a file nor a shipped model"),
        (("--size", "64"), "A size must be like 640x384 (width x height), got '64'."),
        (("--size", "9999999x32"), "A size must be like 640x384"),
        (("--size", "100x64"), "An input size of 100x64 is not possible; both must be multiples of 32."),
        (("--backend", "abacus"), "There is no backend abacus"),
        (("--device", "toaster"), "OpenVINO has no device TOASTER here"),
        (("--precision", "fp7"), "Unknown precision 'fp7'"),
    ],
)
def test_wrong_options_are_one_sentence(
    br2net: Command, folder: Path, tmp_path: Path, tiny_onnx: Path, options: tuple[str, str], sentence: str
) -> None:
    ended = br2net("detect", folder, "-o", tmp_path / "out", "-m", tiny_onnx, *options)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"br2net: {sentence}")
    assert len(ended.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_is_a_file_is_refused_and_the_file_stays(
    br2net: Command, folder: Path, tiny_onnx: Path
) -> None:
    before = contents(folder)
    ended = br2net("detect", folder, "-o", folder / "a.jpg", "-m", tiny_onnx)
    assert (ended.code, ended.err) == (2, f"br2net: The output folder {folder / 'a.jpg'} is a file.\n")
    assert contents(folder) == before


def test_a_name_that_is_no_text_is_handled(br2net: Command, folder: Path, tmp_path: Path, tiny_onnx: Path) -> None:
    odd = folder / "caf\udce9.jpg"  # a byte that is not UTF-8
    try:
        (folder / "a.jpg").rename(odd)
    except OSError:
        pytest.skip("this file system takes names of valid text alone")
    ended = br2net("detect", odd, "-o", tmp_path / "out", "-m", tiny_onnx)
    assert ended.code == 0
    assert "caf\\udce9.jpg: " in ended.out
    assert read_image(tmp_path / "out" / "caf\udce9_blur.png").shape == (100, 150, 3)


def test_an_engine_on_a_machine_without_a_gpu_is_one_sentence(
    br2net: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("br2net.runtime.cuda.opening.find_gpu", lambda index=0: None)
    (tmp_path / "x.engine").write_bytes(b"ftrt" + bytes(60))
    ended = br2net("detect", folder, "--model", tmp_path / "x.engine", "-o", tmp_path / "out")
    assert ended.code == 2 and ended.out == ""
    assert ended.err.count("\n") == 1 and "no NVIDIA GPU or driver here" in ended.err
