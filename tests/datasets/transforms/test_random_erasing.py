"""Random erasing: the same rectangles in all frames of a clip, and the recipe's noise after normalisation."""

import pickle

import numpy as np
import pytest
import torch
from torch import Tensor

from slowfast.config import load_config
from slowfast.config.defaults import get_cfg
from slowfast.datasets.clip_dataset import TrainClipDataset
from slowfast.datasets.collate import collate
from slowfast.datasets.lists.video_list import VideoList
from slowfast.datasets.reading.source import FrameSource
from slowfast.datasets.records import Batch, Erasures, SampleKey, VideoRecord
from slowfast.datasets.sampling import sparse_indices
from slowfast.datasets.transforms.pipeline import TrainTransform
from slowfast.datasets.transforms.random_erasing import (
    AREA_RANGE,
    ASPECT_RANGE,
    RandomErasing,
    draw_rectangle,
    erase,
)
from slowfast.errors import UserError

# What no mode writes, so that one sees what was erased.
PLAIN = 100.0


def erasing(**settings: object) -> RandomErasing:
    return RandomErasing(**({"prob": 1.0, "mode": "const", "max_count": 1} | settings))


def plain_clip(num_frames: int = 4, height: int = 48, width: int = 64) -> Tensor:
    return torch.full((3, num_frames, height, width), PLAIN)


def erased(clip: Tensor, seed: int = 0, **settings: object) -> Tensor:
    """A normalised clip (C, T, H, W) after erasing."""
    erasures = erasing(**settings).draw(clip.shape, np.random.default_rng(seed))
    return erase(clip.clone()[None], Erasures.of_clips([erasures]))[0]


def test_the_rectangle_is_the_same_in_all_frames_and_channels() -> None:
    for mode in ("const", "rand", "pixel"):
        for seed in range(20):
            is_erased = erased(plain_clip(), seed, mode=mode) != PLAIN
            assert (is_erased == is_erased[0, 0]).all()
            rows, columns = (is_erased[0, 0].any(dim).nonzero() for dim in (1, 0))
            assert is_erased[..., rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()


def test_const_writes_the_mean_colour() -> None:
    assert set(erased(plain_clip()).unique().tolist()) == {0.0, PLAIN}


def test_rand_writes_one_colour() -> None:
    colours = set()
    for seed in range(10):
        clip = erased(plain_clip(), seed, mode="rand")
        pixels = clip.movedim(0, -1)[(clip != PLAIN).any(0)]
        assert len(pixels.unique(dim=0)) == 1
        colours.add(tuple(pixels[0].tolist()))
    assert len(colours) == 10


def test_pixel_noise_is_standard_normal_also_beyond_black_and_white() -> None:
    """With the published mean and std, black is -2 and white 2.44; 3 % of the values lie outside."""
    clip = erased(plain_clip(16, 224, 224), 1, mode="pixel")
    z = clip[clip != PLAIN].double()
    assert len(z) > 100_000
    # Four standard errors each, of the distribution function as of the moments.
    error = 4 / len(z) ** 0.5
    assert z.mean().item() == pytest.approx(0, abs=error) and z.std().item() == pytest.approx(1, abs=error)
    normal = torch.distributions.Normal(0.0, 1.0)
    for bound in (-3.0, -2.0, -1.0, 0.0, 1.0, 2.44, 3.0):
        assert (z < bound).double().mean().item() == pytest.approx(normal.cdf(torch.tensor(bound)).item(), abs=error)
    # Every frame and channel has noise of its own.
    assert not torch.equal(clip[0], clip[1]) and not torch.equal(clip[:, 0], clip[:, 1])


def test_prob_is_the_share_of_clips_that_are_erased() -> None:
    rng = np.random.default_rng(0)
    num_erased = sum(len(erasing(prob=0.25).draw((3, 1, 48, 64), rng)) for _ in range(1000))
    assert num_erased / 1000 == pytest.approx(0.25, abs=0.04)
    assert erasing(prob=0.0).draw((3, 1, 48, 64), rng) == ()


def test_each_clip_of_a_batch_has_its_own() -> None:
    clips = torch.stack([plain_clip(), plain_clip(), plain_clip()])
    assert torch.equal(erase(clips.clone(), Erasures()), clips)
    own = [erasing(max_count=3, mode="pixel").draw(clips.shape[1:], np.random.default_rng(seed)) for seed in (0, 1)]
    found = erase(clips.clone(), Erasures.of_clips([own[0], (), own[1]]))
    assert torch.equal(found[1], clips[1])
    for clip, seed in ((found[0], 0), (found[2], 1)):
        assert torch.equal(clip, erased(plain_clip(), seed, max_count=3, mode="pixel")) and (clip != PLAIN).any()


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
    shares = [(erased(plain_clip(1), seed, max_count=3)[0, 0] != PLAIN).float().mean().item() for seed in range(200)]
    assert min(shares) > 0 and max(shares) < 1.1 * AREA_RANGE[1]
    counts = [len(erasing(max_count=3).draw((3, 1, 48, 64), np.random.default_rng(seed))) for seed in range(200)]
    assert set(counts) == {1, 2, 3}


def test_frames_too_narrow_for_a_rectangle_stay_as_they_are() -> None:
    assert draw_rectangle(1000, 1, area_share=1.0, rng=np.random.default_rng(0)) is None
    assert erasing().draw((3, 2, 1000, 1), np.random.default_rng(0)) == ()


def test_unknown_mode_is_an_error_that_names_the_key() -> None:
    with pytest.raises(UserError, match=r"AUG\.RE_MODE 'noise' is none of const, rand, pixel"):
        erasing(mode="noise")


def test_config_is_read() -> None:
    cfg = get_cfg()
    cfg.AUG.RE_PROB, cfg.AUG.RE_MODE, cfg.AUG.RE_COUNT = 0.1, "rand", 2
    assert RandomErasing.from_config(cfg) is None
    cfg.AUG.ENABLE = True
    assert RandomErasing.from_config(cfg) == RandomErasing(prob=0.1, mode="rand", max_count=2)
    cfg.AUG.RE_PROB = 0.0
    assert RandomErasing.from_config(cfg) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_erases_what_the_cpu_does() -> None:
    clips = torch.randint(0, 256, (4, 3, 2, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    own = [erasing(mode="pixel").draw(clips.shape[1:], np.random.default_rng(seed)) for seed in range(4)]
    batch = Batch(clips, torch.zeros(4), torch.arange(4), erasures=Erasures.of_clips(own))
    pinned = batch.pin_memory()
    assert pinned.clips.is_pinned() and pinned.erasures.values.is_pinned()
    on_gpu = pinned.to(torch.device("cuda"))
    found = erase(on_gpu.clips.float(), on_gpu.erasures)
    assert torch.equal(found.cpu(), erase(clips.float(), batch.erasures))


class Noise(FrameSource):
    """Eight frames of random pixels."""

    def __init__(self, path: str) -> None:
        self.path, self.num_frames = path, 8

    def _read_frames(self, wanted):
        return {idx: np.random.default_rng(idx).integers(0, 256, (32, 32, 3), np.uint8) for idx in wanted}


def dataset(**settings: object) -> TrainClipDataset:
    cfg = load_config(None, ["DATA.TRAIN_CROP_SIZE", 32, "DATA.TRAIN_JITTER_SCALES", [32, 40]])
    videos = VideoList(
        records=[VideoRecord(str(label), label) for label in range(3)],
        open_source=Noise,
        sampler=lambda **arguments: sparse_indices(clip_len=4, **arguments),
    )
    return TrainClipDataset([videos], transform=TrainTransform.from_config(cfg), seed=3, **settings)


def test_erasures_are_drawn_after_all_else_and_travel_with_their_clips() -> None:
    """The pixels, and their draws, are the same with and without; each repeat has erasures of its own."""
    plain = collate([dataset(num_repeats=2)[SampleKey(1, idx)] for idx in range(3)], has_label_per_view=True)
    data = dataset(num_repeats=2, erasing=erasing(prob=0.6, mode="pixel"))
    batch = collate([data[SampleKey(1, idx)] for idx in range(3)], has_label_per_view=True)
    assert torch.equal(batch.clips, plain.clips) and batch.clips.dtype == torch.uint8
    clip_idxs = [place.clip_idx for place in batch.erasures.places]
    assert 0 < len(clip_idxs) < 6 and plain.erasures.places == ()
    clips = erase(batch.clips.float(), batch.erasures)
    is_changed = [not torch.equal(*pair) for pair in zip(clips, batch.clips.float(), strict=True)]
    assert is_changed == [idx in clip_idxs for idx in range(6)]
    # As they come back from a loading process, and go to a device.
    again = pickle.loads(pickle.dumps(batch)).to(torch.device("cpu"))
    assert torch.equal(erase(again.clips.float(), again.erasures), clips)
    for idx in (2, 0, 1):
        other = collate([data[SampleKey(1, idx)]])
        assert torch.equal(erase(other.clips.float(), other.erasures), clips[2 * idx : 2 * idx + 2])
