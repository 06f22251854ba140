"""The transforms of training and of evaluation as a whole."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from slowfast.config import load_config
from slowfast.datasets.transforms.functional import normalize
from slowfast.datasets.transforms.pipeline import EvalTransform, TrainTransform

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "eval_transform.json").read_text())
MEAN, STD = torch.full((3,), 0.45), torch.full((3,), 0.225)
RELATIVE = ["DATA.TRAIN_JITTER_SCALES_RELATIVE", "[0.3, 1.0]", "DATA.TRAIN_JITTER_ASPECT_RELATIVE", "[0.75, 1.33]"]
SMALL = ["DATA.TRAIN_CROP_SIZE", 24, "DATA.TRAIN_JITTER_SCALES", "[24, 32]", "UNIFORMERV2.PRETRAIN", "none"]
SMALL += ["UNIFORMERV2.BACKBONE", "custom", "UNIFORMERV2.PATCH_SIZE", 8]


def gradient(num_frames: int = 2, height: int = 40, width: int = 56) -> Tensor:
    """uint8 (T, 3, H, W): red grows to the right, green downwards, blue is the frame."""
    red = torch.linspace(0, 255, width).expand(num_frames, height, width)
    green = torch.linspace(0, 255, height)[:, None].expand(num_frames, height, width)
    blue = 10 * torch.arange(num_frames)[:, None, None].expand(num_frames, height, width)
    return torch.stack([red, green, blue], dim=1).to(torch.uint8)


def train_transform(*overrides: object) -> TrainTransform:
    return TrainTransform.from_config(load_config(None, [*SMALL, *overrides]))


def is_flipped(clip: Tensor) -> bool:
    """Whether the red of a ``gradient`` grows to the left: (T, 3, H, W)."""
    return bool(clip[0, 0, 0, 0] > clip[0, 0, 0, -1])


# Evaluation


@pytest.mark.parametrize("case", GOLDEN)
def test_evaluation_gives_the_published_values(case: dict):
    frames = np.random.RandomState(case["seed"]).randint(0, 256, case["frames"]).astype(np.uint8)
    transform = EvalTransform(size=case["size"], spatial_idxs=(case["spatial_idx"],))
    crops = transform(torch.from_numpy(frames).permute(0, 3, 1, 2))  # (1, T, C, size, size)
    result = normalize(crops.transpose(1, 2), MEAN, STD)[0]  # (C, T, size, size)
    # The published transform scales in float; ours rounds to uint8 once.
    tolerance = 1.001 / 255 / 0.225
    for sample in case["samples"]:
        value = result[sample["c"], sample["t"], sample["y"], sample["x"]].item()
        assert value == pytest.approx(sample["value"], abs=tolerance)
    # Rounding errors cancel over a whole clip but for the ties, which are rounded up.
    assert result.mean().item() == pytest.approx(case["result_mean"], abs=0.25 / 255 / 0.225)
    assert result.std(correction=0).item() == pytest.approx(case["result_std"], abs=0.25 / 255 / 0.225)


def test_evaluation_takes_the_crops_in_the_order_asked_for():
    frames = gradient()
    transform = EvalTransform(size=40, spatial_idxs=(0, 1, 2))
    crops = transform(frames)
    assert crops.shape == (3, 2, 3, 40, 40) and crops.dtype == torch.uint8
    for crop, x in zip(crops, (0, 8, 16), strict=True):
        assert torch.equal(crop, frames[..., x : x + 40])
    assert torch.equal(EvalTransform(size=40)(frames), crops[1:2])


# Training, without AUG.ENABLE


@pytest.mark.parametrize("overrides", [[], RELATIVE], ids=["short-side jitter", "random resized crop"])
def test_training_gives_squares_and_draws_the_same_for_all_frames(overrides: list):
    transform = train_transform(*overrides)
    frames = gradient()
    for seed in range(5):
        clip = transform(frames, np.random.default_rng(seed))
        assert clip.shape == (2, 3, 24, 24) and clip.dtype == torch.uint8
        assert torch.equal(clip[0, :2], clip[1, :2])  # red and green tell the place
        assert clip[0, 2].unique().tolist() == [0] and clip[1, 2].unique().tolist() == [10]


@pytest.mark.parametrize("overrides", [[], RELATIVE], ids=["short-side jitter", "random resized crop"])
def test_training_depends_on_the_generator_alone(overrides: list):
    transform = train_transform(*overrides)
    frames = gradient()
    one, other = (transform(frames, np.random.default_rng(7)) for _ in range(2))
    assert torch.equal(one, other)
    others = [transform(frames, np.random.default_rng(seed)) for seed in range(8, 14)]
    assert not all(torch.equal(one, other) for other in others)


def test_training_leaves_the_frames_as_they_are():
    frames = gradient()
    before = frames.clone()
    for overrides in ([], RELATIVE):
        for seed in range(4):
            train_transform(*overrides)(frames, np.random.default_rng(seed))
    assert torch.equal(frames, before)


def test_half_of_the_clips_are_flipped():
    transform = train_transform()
    rng = np.random.default_rng(0)
    num_flipped = sum(is_flipped(transform(gradient(1), rng)) for _ in range(600))
    assert 250 < num_flipped < 350  # four standard deviations


def test_no_clip_is_flipped_where_direction_matters():
    transform = train_transform("DATA.RANDOM_FLIP", "False")
    rng = np.random.default_rng(0)
    assert not any(is_flipped(transform(gradient(1), rng)) for _ in range(100))


def test_a_flip_mirrors_the_crop():
    never, always = (
        TrainTransform(
            size=24, area_range=(0.3, 1.0), aspect_range=(0.75, 1.33), short_side_range=(24, 32), flip_prob=prob
        )
        for prob in (0.0, 1.0)
    )
    frames = gradient()
    plain, flipped = (transform(frames, np.random.default_rng(3)) for transform in (never, always))
    assert torch.equal(flipped, plain.flip(-1)) and not torch.equal(flipped, plain)


def test_the_config_chooses_the_crop():
    jitter, resized = train_transform("DATA.INV_UNIFORM_SAMPLE", "True"), train_transform(*RELATIVE)
    assert jitter.area_range is None and jitter.short_side_range == (24, 32) and jitter.is_inverse_uniform
    assert resized.area_range == (0.3, 1.0) and resized.aspect_range == (0.75, 1.33)
    assert jitter.size == resized.size == 24


def test_without_augmentation_only_place_and_direction_change():
    """Frames of one colour keep it: AUG.ENABLE False leaves colours alone and erases nothing."""
    assert not load_config(None, SMALL).AUG.ENABLE
    frames = torch.tensor([10, 100, 200], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 40, 56)
    for overrides in ([], RELATIVE):
        transform = train_transform(*overrides)
        for seed in range(5):
            clip = transform(frames, np.random.default_rng(seed))
            assert [channel.unique().tolist() for channel in clip.unbind(1)] == [[10], [100], [200]]
