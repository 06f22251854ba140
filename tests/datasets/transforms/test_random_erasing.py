"""Random erasing: the same rectangles in all frames, filled with what normalises to the noise of the paper's recipe."""

import numpy as np
import pytest
import torch
from torch import Tensor

from slowfast.config.defaults import get_cfg
from slowfast.datasets.transforms.functional import normalize
from slowfast.datasets.transforms.pipeline import TrainTransform
from slowfast.datasets.transforms.random_erasing import AREA_RANGE, ASPECT_RANGE, RandomErasing, draw_rectangle
from slowfast.errors import UserError

MEAN, STD = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)
# A value that const does not write, so that one sees what was erased; noise may hit it.
PLAIN = 3


def erasing(**settings: object) -> RandomErasing:
    return RandomErasing(**({"prob": 1.0, "mode": "const", "max_count": 1, "mean": MEAN, "std": STD} | settings))


def plain_frames(num_frames: int = 4, height: int = 48, width: int = 64) -> Tensor:
    return torch.full((num_frames, 3, height, width), PLAIN, dtype=torch.uint8)


def test_the_rectangle_is_the_same_in_all_frames_and_channels() -> None:
    for mode in ("const", "rand", "pixel"):
        for seed in range(20):
            frames = plain_frames()
            is_erased = erasing(mode=mode)(frames, np.random.default_rng(seed)) != PLAIN
            rows, columns = (is_erased.any(0).any(0).any(dim).nonzero() for dim in (1, 0))
            box = is_erased[..., rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            # Noise hits the plain value now and then; a colour of mode rand may have it in one channel.
            assert box.float().mean() > (0.3 if mode == "rand" else 0.97)
            assert (box[0] == box).all() or mode == "pixel"
            assert torch.equal(frames, plain_frames())


def test_const_writes_the_mean_colour() -> None:
    clip = erasing(mean=(0.2, 0.4, 0.6))(plain_frames(), np.random.default_rng(0))
    for channel, value in enumerate((51, 102, 153)):
        assert set(clip[:, channel].unique().tolist()) == {PLAIN, value}


def test_rand_writes_one_colour() -> None:
    colours = set()
    for seed in range(10):
        clip = erasing(mode="rand")(plain_frames(), np.random.default_rng(seed))
        pixels = clip.movedim(1, -1)[(clip != PLAIN).any(1)]
        assert len(pixels.unique(dim=0)) == 1
        colours.add(tuple(pixels[0].tolist()))
    assert len(colours) == 10


def test_pixel_noise_normalises_to_standard_normal_values_that_black_and_white_bound() -> None:
    frames = plain_frames(16, 96, 96)
    clip = erasing(mode="pixel")(frames, np.random.default_rng(1))
    is_erased = (clip != PLAIN).any(0, keepdim=True).any(1, keepdim=True).expand_as(clip)
    z = normalize(clip.transpose(0, 1)[None], torch.tensor(MEAN), torch.tensor(STD))[0].transpose(0, 1)[is_erased]
    expected = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0)).clamp(-2, 0.55 / 0.225)
    assert z.mean() == pytest.approx(expected.mean().item(), abs=0.02)
    assert z.std() == pytest.approx(expected.std().item(), abs=0.02)
    assert z.min() == pytest.approx(-2) and z.max() == pytest.approx(0.55 / 0.225)
    # Every frame and channel has noise of its own.
    assert not torch.equal(clip[0], clip[1]) and not torch.equal(clip[:, 0], clip[:, 1])


def test_prob_is_the_share_of_clips_that_are_erased() -> None:
    rng = np.random.default_rng(0)
    frames = plain_frames(1)
    num_erased = sum(not torch.equal(erasing(prob=0.25)(frames, rng), frames) for _ in range(1000))
    assert num_erased / 1000 == pytest.approx(0.25, abs=0.04)
    assert erasing(prob=0.0)(frames, rng) is frames


def test_rectangles_lie_inside_with_the_area_and_aspect_of_the_recipe() -> None:
    rng = np.random.default_rng(0)
    rectangles = np.array([draw_rectangle(200, 300, area_share=1.0, rng=rng) for _ in range(2000)])
    y, x, h, w = rectangles.T
    assert (y >= 0).all() and (x >= 0).all() and (y + h <= 200).all() and (x + w <= 300).all()
    shares, aspects = h * w / (200 * 300), h / w
    assert shares.min() > 0.95 * AREA_RANGE[0] and shares.max() < 1.05 * AREA_RANGE[1]
    assert aspects.min() > 0.95 * ASPECT_RANGE[0] and aspects.max() < 1.05 * ASPECT_RANGE[1]
    assert shares.mean() == pytest.approx(sum(AREA_RANGE) / 2, rel=0.05)


def test_several_rectangles_share_the_area() -> None:
    rng = np.random.default_rng(0)
    shares = [(erasing(max_count=3)(plain_frames(1), rng)[0, 0] != PLAIN).float().mean().item() for _ in range(200)]
    assert min(shares) > 0 and max(shares) < 1.1 * AREA_RANGE[1]


def test_frames_too_narrow_for_a_rectangle_stay_as_they_are() -> None:
    frames = plain_frames(2, 1000, 1)
    assert draw_rectangle(1000, 1, area_share=1.0, rng=np.random.default_rng(0)) is None
    assert torch.equal(erasing()(frames, np.random.default_rng(0)), frames)


def test_unknown_mode_is_an_error_that_names_the_key() -> None:
    with pytest.raises(UserError, match=r"AUG\.RE_MODE 'noise' is none of const, rand, pixel"):
        erasing(mode="noise")


def test_config_is_read() -> None:
    cfg = get_cfg()
    cfg.AUG.RE_PROB, cfg.AUG.RE_MODE, cfg.AUG.RE_COUNT, cfg.DATA.MEAN = 0.1, "rand", 2, [0.4, 0.5, 0.6]
    assert TrainTransform.from_config(cfg).erasing is None
    cfg.AUG.ENABLE = True
    assert TrainTransform.from_config(cfg).erasing == RandomErasing(
        prob=0.1, mode="rand", max_count=2, mean=[0.4, 0.5, 0.6], std=[0.225] * 3
    )
    cfg.AUG.RE_PROB = 0.0
    assert TrainTransform.from_config(cfg).erasing is None


def test_erasing_is_the_last_step_of_the_transform() -> None:
    settings = {"size": 24, "area_range": (0.3, 1.0), "aspect_range": (0.75, 1.3333), "short_side_range": (24, 24)}
    frames = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plain = TrainTransform(**settings)(frames, np.random.default_rng(2))
    clip = TrainTransform(**settings, erasing=erasing())(frames, np.random.default_rng(2))
    is_changed = clip != plain
    assert is_changed.any() and (clip[is_changed] == 115).all()
