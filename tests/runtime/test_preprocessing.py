"""Network input, against PyTorch's interpolation and NumPy."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from br2net.errors import InputError
from br2net.runtime.metadata import IMAGENET, SYMMETRIC, Normalisation
from br2net.runtime.preprocessing import check_size, preprocess, resize
from br2net.types import Frame


def by_pytorch(pixels: NDArray[np.generic], height: int, width: int, mode: str) -> NDArray[np.float32]:
    tensor = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
    options = {"align_corners": False} if mode == "bilinear" else {}
    resized = functional.interpolate(tensor, (height, width), mode=mode, **options)
    return np.asarray(resized[0].permute(1, 2, 0).numpy(), dtype=np.float32)


@pytest.fixture
def noise() -> Frame:
    return np.random.default_rng(3).integers(0, 256, (96, 128, 3), dtype=np.uint8)


def test_shrinking_averages_areas(noise: Frame) -> None:
    np.testing.assert_allclose(resize(noise, 32, 48), by_pytorch(noise, 48, 32, "area"), atol=1.0)


def test_shrinking_by_a_broken_ratio_weighs_partly_covered_pixels() -> None:
    row = np.random.default_rng(4).integers(0, 256, (1, 5, 3), dtype=np.uint8)
    cover = (
        np.array([[3, 2, 0, 0, 0], [0, 1, 3, 1, 0], [0, 0, 0, 2, 3]]) / 5.0
    )  # of each pixel of five in each of three
    np.testing.assert_allclose(resize(row, 3, 1)[0], cover @ row[0].astype(np.float64), atol=1.0)


def test_enlarging_is_bilinear(noise: Frame) -> None:
    np.testing.assert_allclose(resize(noise, 320, 224), by_pytorch(noise, 224, 320, "bilinear"), atol=1.0)


def test_a_side_that_shrinks_is_averaged_while_the_other_grows(noise: Frame) -> None:
    shrunk = by_pytorch(noise, 96, 32, "area")
    expected = np.rint(by_pytorch(shrunk, 160, 32, "bilinear"))
    np.testing.assert_allclose(resize(noise, 32, 160), expected, atol=1.0)


def test_a_frame_of_the_right_size_stays_as_it_is(noise: Frame) -> None:
    np.testing.assert_array_equal(resize(noise, 128, 96), noise)


@pytest.mark.parametrize("shape", [(1, 1), (1, 70_000), (70_000, 1)])
def test_extreme_shapes_are_resized(shape: tuple[int, int]) -> None:
    resized = resize(np.full((*shape, 3), 9, np.uint8), 64, 32)
    np.testing.assert_array_equal(resized, np.full((32, 64, 3), 9, np.uint8))


@pytest.mark.parametrize("normalisation", [IMAGENET, SYMMETRIC])
def test_pixels_are_normalised_per_rgb_channel(normalisation: Normalisation) -> None:
    frame = np.random.default_rng(5).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    rgb = frame[:, :, ::-1].astype(np.float64) / 255.0
    expected = ((rgb - normalisation.mean) / normalisation.std).transpose(2, 0, 1)[None]
    batch = preprocess([frame], 64, 32, normalisation)
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch, expected, atol=1e-6)


def test_a_batch_holds_frames_of_any_sizes_in_order(noise: Frame) -> None:
    frames = [noise, noise[:50, :20], noise[:, ::-1]]
    batch = preprocess(frames, 64, 32, IMAGENET)
    assert batch.shape == (3, 3, 32, 64)
    for item, frame in zip(batch, frames, strict=True):
        np.testing.assert_array_equal(item, preprocess([frame], 64, 32, IMAGENET)[0])


@pytest.mark.parametrize("size", [(33, 32), (32, 40), (0, 32), (-32, 32), (16, 16)])
def test_sizes_that_are_no_positive_multiples_of_32_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"{size[0]}x{size[1]} is not possible; both must be multiples of 32"):
        check_size(*size)
    with pytest.raises(InputError):
        preprocess([np.zeros((4, 4, 3), np.uint8)], *size, IMAGENET)


def test_no_frame_is_no_batch() -> None:
    with pytest.raises(InputError, match="at least one frame"):
        preprocess([], 32, 32, IMAGENET)
