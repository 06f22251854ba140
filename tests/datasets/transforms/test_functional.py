"""Operations on frames: sizes and places of crops, what scaling does, and what is drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from slowfast.datasets.transforms import functional

SPATIAL_CROPS = json.loads((Path(__file__).parents[2] / "golden" / "spatial_crops.json").read_text())

sides = st.integers(1, 400)
crop_sizes = st.integers(1, 128)
seeds = st.integers(0, 2**32)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """uint8 of the given shape."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


# Test crops


@pytest.mark.parametrize("case", SPATIAL_CROPS)
def test_test_crops_lie_where_the_published_ones_do(case: dict):
    resized = functional.resized_size(case["height"], case["width"], case["size"])
    assert list(resized) == case["resized"]
    assert list(functional.spatial_crop_origin(*resized, case["size"], case["spatial_idx"])) == case["top_left"]


@given(height=sides, width=sides, size=crop_sizes)
def test_the_short_side_becomes_the_size_and_the_aspect_ratio_stays(height: int, width: int, size: int):
    resized = functional.resized_size(height, width, size)
    assert min(resized) == size
    assert (resized[0] <= resized[1]) == (height <= width) or resized[0] == resized[1]
    exact = max(height, width) / min(height, width) * size
    assert exact - 1 < max(resized) <= exact + 1e-6


@given(height=sides, width=sides, size=crop_sizes)
def test_test_crops_lie_inside_the_frame_and_in_order(height: int, width: int, size: int):
    h, w = functional.resized_size(height, width, size)
    origins = [functional.spatial_crop_origin(h, w, size, spatial_idx) for spatial_idx in range(3)]
    for y, x in origins:
        assert 0 <= y <= h - size and 0 <= x <= w - size
    assert origins == sorted(origins)
    # The outer two touch the borders of the long side; on the short side there is no room to move.
    assert origins[0] == (0, 0) and origins[2] == (h - size, w - size)


@pytest.mark.parametrize("spatial_idx", [-1, 3])
def test_a_fourth_crop_is_refused(spatial_idx: int):
    with pytest.raises(ValueError, match=f"spatial_idx {spatial_idx} is not 0, 1 or 2"):
        functional.spatial_crop_origin(10, 20, 10, spatial_idx)


def test_a_crop_is_cut_from_all_frames_and_channels():
    frames = noise(2, 3, 10, 14)
    assert torch.equal(functional.spatial_crop(frames, 10, 0), frames[..., 0:10])
    assert torch.equal(functional.spatial_crop(frames, 10, 1), frames[..., 2:12])
    assert torch.equal(functional.spatial_crop(frames, 10, 2), frames[..., 4:14])


# Scaling


def bilinear(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Half-pixel centres, no antialiasing, written out: (T, C, H, W) to float64 (T, C, height, width)."""

    def weights(num_out: int, num_in: int) -> np.ndarray:
        position = np.clip((np.arange(num_out) + 0.5) * num_in / num_out - 0.5, 0, num_in - 1)
        distance = np.abs(position[:, None] - np.arange(num_in))
        return np.clip(1 - distance, 0, None)  # (num_out, num_in)

    rows, columns = weights(height, frames.shape[-2]), weights(width, frames.shape[-1])
    return np.einsum("Yy,tcyx,Xx->tcYX", rows, frames.astype(float), columns)


@pytest.mark.parametrize(("height", "width"), [(36, 52), (52, 36), (20, 20), (13, 70)])
def test_scaling_is_bilinear_without_antialiasing(height: int, width: int):
    frames = noise(2, 3, height, width)
    resized = functional.resize_short_side(frames, 24)
    expected = bilinear(frames.numpy(), *functional.resized_size(height, width, 24))
    assert resized.dtype == torch.uint8 and resized.shape == expected.shape
    assert np.abs(resized.numpy() - expected).max() < 1.01  # rounded once or twice


def test_frames_of_the_right_size_are_passed_on():
    frames = noise(2, 3, 24, 30)
    assert functional.resize_short_side(frames, 24) is frames


def test_a_box_is_cut_out_and_scaled_to_a_square():
    frames = noise(2, 3, 40, 50)
    assert torch.equal(functional.resized_crop(frames, (3, 7, 20, 20), 20), frames[..., 3:23, 7:27])
    scaled = functional.resized_crop(frames, (3, 7, 30, 12), 16)
    expected = bilinear(frames[..., 3:33, 7:19].numpy(), 16, 16)
    assert np.abs(scaled.numpy() - expected).max() < 1.01


# What is drawn


@given(height=sides, width=sides, low=st.floats(0.01, 1), aspect=st.floats(1, 3), seed=seeds)
def test_random_boxes_lie_inside_the_frame(height: int, width: int, low: float, aspect: float, seed: int):
    y, x, h, w = functional.draw_resized_crop(
        height, width, area_range=(low, 1.0), aspect_range=(1 / aspect, aspect), rng=np.random.default_rng(seed)
    )
    assert h >= 1 and w >= 1
    assert 0 <= y <= height - h and 0 <= x <= width - w


def test_random_boxes_fill_the_ranges_of_area_and_aspect():
    rng = np.random.default_rng(0)
    boxes = np.array(
        [
            functional.draw_resized_crop(1000, 1000, area_range=(0.25, 0.5), aspect_range=(0.5, 2.0), rng=rng)
            for _ in range(2000)
        ]
    )
    y, x, h, w = boxes.T
    area, aspect = h * w / 1e6, w / h
    assert 0.249 < area.min() < 0.26 and 0.49 < area.max() < 0.501
    assert np.mean(area) == pytest.approx(0.375, abs=0.01)  # uniform in area
    assert 0.499 < aspect.min() < 0.52 and 1.92 < aspect.max() < 2.01
    assert np.mean(np.log(aspect)) == pytest.approx(0, abs=0.04)  # uniform in the logarithm of the aspect ratio
    assert np.mean(y / (1000 - h)) == pytest.approx(0.5, abs=0.03)
    assert np.mean(x / (1000 - w)) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (10, 100, (0, 43, 10, 13)),  # too wide: the widest allowed of full height
        (100, 10, (43, 0, 13, 10)),  # too tall: the tallest allowed of full width
        (100, 120, (0, 0, 100, 120)),  # an allowed aspect ratio: everything
    ],
)
def test_a_frame_that_no_box_fits_gives_the_largest_central_one(height: int, width: int, expected: tuple):
    # An area of more than the frame never fits, so that all ten tries fail.
    box = functional.draw_resized_crop(
        height, width, area_range=(4.0, 4.0), aspect_range=(3 / 4, 4 / 3), rng=np.random.default_rng(0)
    )
    assert box == expected


@pytest.mark.parametrize("is_inverse_uniform", [False, True])
@given(low=st.integers(1, 300), more=st.integers(0, 300), seed=seeds)
def test_a_short_side_lies_in_its_bounds(is_inverse_uniform: bool, low: int, more: int, seed: int):
    rng = np.random.default_rng(seed)
    short_side = functional.draw_short_side((low, low + more), is_inverse_uniform=is_inverse_uniform, rng=rng)
    assert low <= short_side <= low + more


def test_the_inverse_of_a_short_side_can_be_uniform():
    for is_inverse_uniform, mean in ((False, 300.0), (True, 200 * np.log(400 / 200) / (1 - 200 / 400))):
        rng = np.random.default_rng(0)
        draws = [
            functional.draw_short_side((200, 400), is_inverse_uniform=is_inverse_uniform, rng=rng) for _ in range(5000)
        ]
        assert np.mean(draws) == pytest.approx(mean, abs=3)


@given(height=st.integers(8, 40), width=st.integers(8, 40), seed=seeds)
def test_a_random_square_is_cut_from_the_same_place_of_all_frames(height: int, width: int, seed: int):
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    frames = torch.stack([y, x]).to(torch.uint8).expand(3, 2, height, width)  # each pixel holds its place
    crop = functional.random_crop(frames, 8, np.random.default_rng(seed))
    assert crop.shape == (3, 2, 8, 8)
    top, left = crop[0, :, 0, 0].tolist()
    assert torch.equal(crop, frames[..., top : top + 8, left : left + 8])


def test_a_random_square_reaches_every_place():
    y, x = torch.meshgrid(torch.arange(10), torch.arange(9), indexing="ij")
    frames = torch.stack([y, x]).to(torch.uint8)[None]
    rng = np.random.default_rng(0)
    places = {tuple(functional.random_crop(frames, 8, rng)[0, :, 0, 0].tolist()) for _ in range(200)}
    assert places == {(y, x) for y in range(3) for x in range(2)}


# Normalising


def test_normalising_takes_each_channels_mean_and_deviation():
    clips = noise(2, 3, 4, 5, 6)
    mean, std = torch.tensor([0.1, 0.45, 0.6]), torch.tensor([0.2, 0.225, 0.5])
    normalised = functional.normalize(clips, mean, std)
    expected = (clips.double() / 255 - mean.view(1, 3, 1, 1, 1)) / std.view(1, 3, 1, 1, 1)
    assert normalised.dtype == torch.float32
    torch.testing.assert_close(normalised, expected.float(), rtol=0, atol=2e-6)
