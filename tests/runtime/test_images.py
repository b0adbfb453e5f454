"""Photographs as they come: turned, deep, grey, transparent, tiny, huge, cut short, or none at all."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from br2net.errors import ImageError, InputError
from br2net.runtime.images import is_own_png, list_images, read_image, to_frame, write_png
from br2net.types import Frame


def encoded(suffix: str, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    done, data = cv2.imencode(suffix, pixels)
    assert done
    return bytes(data.tobytes())


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def with_exif(jpeg: bytes, orientation: int, thumbnail: bytes = b"") -> bytes:
    """Put an EXIF segment of one entry, by hand, behind the start marker."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0) + thumbnail
    payload = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


UPRIGHT = {
    1: lambda frame: frame,
    2: lambda frame: frame[:, ::-1],
    3: lambda frame: frame[::-1, ::-1],
    4: lambda frame: frame[::-1],
    5: lambda frame: frame.transpose(1, 0, 2),
    6: lambda frame: np.rot90(frame, -1),
    7: lambda frame: frame[::-1, ::-1].transpose(1, 0, 2),
    8: lambda frame: np.rot90(frame, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_jpeg_is_turned_upright_by_its_exif_orientation(tmp_path: Path, photograph: Frame, orientation: int) -> None:
    jpeg = encoded(".jpg", photograph)
    as_stored = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    path = written(tmp_path, "turned.jpg", with_exif(jpeg, orientation))
    np.testing.assert_array_equal(read_image(path), UPRIGHT[orientation](as_stored))


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    frame = read_image(written(tmp_path, "deep.png", encoded(".png", deep)))
    assert frame.dtype == np.uint8
    np.testing.assert_allclose(frame, deep * (255.0 / 65535.0), atol=0.5 + 1e-6)


def test_sixteen_bit_grey_gets_three_equal_channels(tmp_path: Path) -> None:
    deep = np.full((4, 5), 65535, np.uint16)
    frame = read_image(written(tmp_path, "deep.tif", encoded(".tif", deep)))
    np.testing.assert_array_equal(frame, np.full((4, 5, 3), 255, np.uint8))


def test_grey_gets_three_equal_channels(tmp_path: Path, photograph: Frame) -> None:
    grey = photograph[:, :, 0]
    frame = read_image(written(tmp_path, "grey.png", encoded(".png", grey)))
    np.testing.assert_array_equal(frame, np.dstack([grey] * 3))


def test_transparency_is_left_out_and_colours_stay(tmp_path: Path, photograph: Frame) -> None:
    alpha = np.zeros((*photograph.shape[:2], 1), np.uint8)
    frame = read_image(written(tmp_path, "rgba.png", encoded(".png", np.concatenate([photograph, alpha], axis=2))))
    np.testing.assert_array_equal(frame, photograph)


def test_one_pixel_is_an_image(tmp_path: Path) -> None:
    pixel = np.array([[[1, 2, 3]]], np.uint8)
    np.testing.assert_array_equal(read_image(written(tmp_path, "pixel.png", encoded(".png", pixel))), pixel)


def test_a_hundred_megapixels_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "huge.png", grey_png(10_000, 10_000))
    frame = read_image(path)
    assert frame.shape == (10_000, 10_000, 3)
    assert frame[::997, ::997].min() == frame[::997, ::997].max() == 0


def grey_png(width: int, height: int) -> bytes:
    """A black grey PNG made chunk by chunk, so that a large one costs little."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(1)
    row = bytes(width + 1)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_floating_point_is_clipped_and_what_is_no_number_is_black() -> None:
    pixels = np.array([[[0.0, 0.5, 1.0]], [[-1.0, np.inf, np.nan]], [[1e38, -np.inf, 2.0]]], np.float32)
    expected = [[[0, 128, 255]], [[0, 255, 0]], [[255, 0, 255]]]
    np.testing.assert_array_equal(to_frame(pixels, "x"), expected)


def test_pixels_of_another_type_are_refused_by_name() -> None:
    with pytest.raises(ImageError, match=r"x\.tif has pixels of type int32"):
        to_frame(np.zeros((2, 2, 3), np.int32), "x.tif")


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_file_cut_short_is_refused(tmp_path: Path, photograph: Frame, suffix: str, kept: float) -> None:
    data = encoded(suffix, photograph)
    path = written(tmp_path, f"cut{suffix}", data[: int(len(data) * kept)])
    with pytest.raises(ImageError, match=r"cut\.\w+ is cut short: the end of the \w+ is missing\.$"):
        read_image(path)


def test_the_end_of_a_thumbnail_is_not_taken_for_the_end_of_the_jpeg(tmp_path: Path, photograph: Frame) -> None:
    jpeg = with_exif(encoded(".jpg", photograph), 1, thumbnail=encoded(".jpg", photograph[:16, :16]))
    assert read_image(written(tmp_path, "whole.jpg", jpeg)).shape == photograph.shape
    with pytest.raises(ImageError, match="cut short"):
        read_image(written(tmp_path, "cut.jpg", jpeg[:-200]))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_bytes_after_the_end_do_no_harm(tmp_path: Path, photograph: Frame, suffix: str) -> None:
    data = encoded(suffix, photograph)
    frame = read_image(written(tmp_path, f"more{suffix}", data + bytes(100_000)))
    np.testing.assert_array_equal(frame, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def test_a_png_of_altered_pixels_is_refused(tmp_path: Path, photograph: Frame) -> None:
    data = bytearray(encoded(".png", photograph))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ImageError, match="is damaged: a checksum of the PNG is wrong"):
        read_image(written(tmp_path, "altered.png", bytes(data)))


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("empty.jpg", b"", "empty.jpg is empty."),
        ("text.jpg", b"this is no photograph\n" * 50, "text.jpg is damaged, or not an image that OpenCV can read."),
        ("start.jpg", b"\xff\xd8\xff", "start.jpg is cut short: the end of the JPEG is missing."),
        ("start.png", b"\x89PNG\r\n\x1a\n", "start.png is cut short: the end of the PNG is missing."),
    ],
)
def test_what_is_no_image_is_named_in_one_sentence(tmp_path: Path, name: str, data: bytes, sentence: str) -> None:
    with pytest.raises(ImageError) as caught:
        read_image(written(tmp_path, name, data))
    assert str(caught.value) == f"{tmp_path}/{sentence}"


PRINTS = pytest.mark.xfail(
    tuple(map(int, cv2.__version__.split(".")[:2])) < (4, 9),
    reason="OpenCV before 4.9 prints it whatever its log level",
)


@pytest.mark.parametrize("suffix", [".tif", ".webp", pytest.param(".bmp", marks=PRINTS)])
def test_opencv_prints_nothing_of_its_own(
    tmp_path: Path, photograph: Frame, capfd: pytest.CaptureFixture[str], suffix: str
) -> None:
    data = encoded(suffix, photograph)
    with pytest.raises(ImageError):
        read_image(written(tmp_path, f"cut{suffix}", data[: len(data) // 2]))
    assert capfd.readouterr() == ("", "")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"There is no file .*missing\.jpg\.$"):
        read_image(tmp_path / "missing.jpg")


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder, not an image"):
        read_image(tmp_path)


@pytest.mark.parametrize("name", ["a" * 300 + ".jpg", "nul\0.jpg"])
def test_a_name_that_no_file_can_have_is_an_image_error(name: str) -> None:
    assert list_images([name]) == [Path(name)]
    with pytest.raises(ImageError):
        read_image(Path(name))


def test_a_folder_gives_its_images_by_name_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "notes.txt", "deeper/c.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert list_images([tmp_path]) == [tmp_path / "a.png", tmp_path / "b.JPG"]


def test_a_pattern_gives_the_images_that_match(tmp_path: Path) -> None:
    for name in ("a1.png", "a2.png", "a3.txt", "b1.png"):
        (tmp_path / name).touch()
    assert list_images([str(tmp_path / "a*")]) == [tmp_path / "a1.png", tmp_path / "a2.png"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "photo[1].png"
    path.touch()
    assert list_images([path]) == [path]


def test_an_image_named_twice_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path)
    assert list_images(["a.png", "./a.png", "deeper/../a.png", tmp_path / "a.png", "*.png", "."]) == [Path("a.png")]


@pytest.mark.parametrize(
    ("source", "sentence"), [("", "holds no images"), ("*.png", r"The pattern .* matches no images\.")]
)
def test_a_folder_or_pattern_of_no_images_is_refused(tmp_path: Path, source: str, sentence: str) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=sentence):
        list_images([str(tmp_path / source)])


def test_no_source_is_refused() -> None:
    with pytest.raises(InputError, match="No image was named"):
        list_images([])


@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_written_png_reads_back_the_same(tmp_path: Path, channels: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (7, 9, *channels), dtype=np.uint8)
    write_png(tmp_path / "x.png", pixels)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "x.png"), cv2.IMREAD_UNCHANGED), pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_a_png_written_here_is_told_from_any_other(tmp_path: Path, photograph: Frame) -> None:
    write_png(tmp_path / "own.png", photograph)
    assert is_own_png(tmp_path / "own.png")
    assert not is_own_png(written(tmp_path, "other.png", encoded(".png", photograph)))
    assert not is_own_png(written(tmp_path, "empty.png", b""))
    assert not is_own_png(tmp_path / "missing.png")


def test_a_picture_that_cannot_be_written_is_an_input_error(tmp_path: Path, photograph: Frame) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Cannot write"):
        write_png(tmp_path / "file" / "x.png", photograph)
