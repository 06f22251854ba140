"""Mixup and cutmix: timm's batch mode when its draws are replayed, and targets that are distributions."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from slowfast.config.defaults import get_cfg
from slowfast.datasets.transforms.mixup import Mixup, draw_cutmix_box, smooth_one_hot
from slowfast.errors import UserError

NUM_CLASSES = 7


def mixup(**settings: float) -> Mixup:
    defaults = {"mixup_alpha": 0.8, "cutmix_alpha": 1.0, "prob": 1.0, "switch_prob": 0.5, "label_smoothing": 0.1}
    return Mixup(**(defaults | settings), num_classes=NUM_CLASSES)


def make_batch(num_clips: int = 6, size: tuple[int, int] = (20, 24)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    clips = torch.randn(num_clips, 3, 4, *size, generator=generator)
    return clips, torch.randint(0, NUM_CLASSES, (num_clips,), generator=generator)


def published_box(shape: tuple[int, ...], lam: float, count: None = None) -> tuple[int, int, int, int]:
    """Rows and columns as the published runs drew them; timm had this rule before 1.0.29."""
    half_sides = [int(side * np.sqrt(1 - lam)) // 2 for side in shape[-2:]]
    centres = [np.random.randint(0, side) for side in shape[-2:]]
    bounds = [
        np.clip(centre + sign * half, 0, side)
        for centre, half, side in zip(centres, half_sides, shape[-2:], strict=True)
        for sign in (-1, 1)
    ]
    return tuple(bounds)


@pytest.mark.parametrize(
    "changed",
    [{}, {"mixup_alpha": 0.0}, {"cutmix_alpha": 0.0}, {"prob": 0.5}, {"switch_prob": 0.9, "label_smoothing": 0.0}],
)
def test_batches_are_those_of_timm(changed: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm.data.mixup")
    ours = mixup(**changed)
    theirs = timm.Mixup(
        mixup_alpha=ours.mixup_alpha,
        cutmix_alpha=ours.cutmix_alpha,
        prob=ours.prob,
        switch_prob=ours.switch_prob,
        label_smoothing=ours.label_smoothing,
        num_classes=NUM_CLASSES,
    )
    for seed in range(20):
        clips, labels = make_batch()
        given_clips = clips.clone()
        mixed, targets = ours(clips, labels, np.random.default_rng(seed))
        assert torch.equal(clips, given_clips)
        rng = np.random.default_rng(seed)
        replay = SimpleNamespace(rand=rng.random, beta=rng.beta, randint=rng.integers)
        with monkeypatch.context() as patch:
            patch.setattr(np, "random", replay)
            patch.setattr(timm, "rand_bbox", published_box)
            # timm mixes images (N, C, H, W) in place; frames are further channels to it.
            expected, expected_targets = theirs(clips.flatten(1, 2), labels)
        torch.testing.assert_close(mixed.flatten(1, 2), expected)
        torch.testing.assert_close(targets, expected_targets)


@given(
    seed=st.integers(0, 10_000),
    num_clips=st.integers(1, 5),
    smoothing=st.sampled_from([0.0, 0.1, 0.5]),
    prob=st.sampled_from([0.0, 0.5, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_targets_are_distributions_and_values_stay_in_range(
    seed: int, num_clips: int, smoothing: float, prob: float
) -> None:
    clips, labels = make_batch(num_clips, (9, 12))
    mixed, targets = mixup(label_smoothing=smoothing, prob=prob)(clips, labels, np.random.default_rng(seed))
    assert mixed.shape == clips.shape and mixed.dtype == clips.dtype
    assert targets.shape == (num_clips, NUM_CLASSES) and targets.dtype == torch.float32
    torch.testing.assert_close(targets.sum(1), torch.ones(num_clips))
    assert targets.min() >= 0
    assert clips.min() - 1e-5 <= mixed.min() and mixed.max() <= clips.max() + 1e-5


def test_targets_weigh_the_labels_by_what_is_seen_of_each_clip() -> None:
    labels = torch.tensor([0, 1])
    for seed in range(20):
        for kind in ({"cutmix_alpha": 0.0}, {"mixup_alpha": 0.0}):
            clips = torch.stack([torch.ones(3, 4, 16, 16), torch.zeros(3, 4, 16, 16)])
            mixed, targets = mixup(**kind, label_smoothing=0.0)(clips, labels, np.random.default_rng(seed))
            assert targets[0, 0].item() == pytest.approx(mixed[0].mean().item(), abs=1e-5)
            assert targets[1, 1].item() == pytest.approx(1 - mixed[1].mean().item(), abs=1e-5)


def test_cutmix_cuts_the_same_rectangle_out_of_all_frames() -> None:
    clips = torch.stack([torch.ones(3, 8, 16, 16), torch.zeros(3, 8, 16, 16)])
    for seed in range(20):
        mixed, _ = mixup(mixup_alpha=0.0)(clips, torch.tensor([0, 1]), np.random.default_rng(seed))
        assert set(mixed.unique().tolist()) <= {0.0, 1.0}
        assert torch.equal(mixed, mixed[:, :1, :1].expand_as(mixed))
        assert torch.equal(mixed[0], 1 - mixed[1])


def test_the_middle_clip_of_an_odd_batch_stays() -> None:
    clips, labels = make_batch(3)
    for kind in ({"cutmix_alpha": 0.0}, {"mixup_alpha": 0.0}):
        mixed, targets = mixup(**kind)(clips, labels, np.random.default_rng(0))
        torch.testing.assert_close(mixed[1], clips[1])
        torch.testing.assert_close(targets[1], smooth_one_hot(labels, NUM_CLASSES, 0.1)[1])
        assert not torch.equal(mixed[0], clips[0])


def test_probabilities() -> None:
    clips, labels = make_batch(2, (4, 4))
    rng = np.random.default_rng(0)
    mixing = mixup(prob=0.6, switch_prob=0.25)
    results = [mixing(clips, labels, rng)[0] for _ in range(600)]
    num_mixed = sum(not torch.equal(mixed, clips) for mixed in results)
    # Cutmix copies values, mixup makes new ones. A rectangle of 4 x 4 pixels is often empty.
    num_mixup = sum(not torch.isin(mixed, clips).all() for mixed in results)
    assert num_mixup / 600 == pytest.approx(0.6 * 0.75, abs=0.06)
    assert num_mixup < num_mixed < 0.66 * 600
    unmixed, targets = mixup(prob=0.0)(clips, labels, rng)
    assert torch.equal(unmixed, clips) and torch.equal(targets, smooth_one_hot(labels, NUM_CLASSES, 0.1))


def test_cutmix_box_states_the_share_it_leaves() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        wanted = rng.random()
        rows, columns, kept_share = draw_cutmix_box(30, 40, wanted, rng)
        frame = np.ones((30, 40))
        frame[rows, columns] = 0
        assert frame.mean() == pytest.approx(kept_share)
        assert kept_share >= wanted - 1e-9


@pytest.mark.parametrize(("kept_share", "sides"), [(0.5, (20, 28)), (0.75, (14, 20)), (0.9, (8, 12))])
def test_cutmix_boxes_have_the_published_sides(kept_share: float, sides: tuple[int, int]) -> None:
    """Of 21 x 28, 15 x 20 and 9 x 12 pixels the odd sides lose one; those cut off at the border are shorter."""
    rng = np.random.default_rng(0)
    boxes = [draw_cutmix_box(30, 40, kept_share, rng)[:2] for _ in range(300)]
    found = {tuple(side.stop - side.start for side in box) for box in boxes}
    assert max(found) == sides


def test_smooth_one_hot() -> None:
    targets = smooth_one_hot(torch.tensor([2, 0]), 4, 0.2)
    torch.testing.assert_close(targets, torch.tensor([[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05]]))


def test_config_is_read() -> None:
    cfg = get_cfg()
    cfg.MODEL.NUM_CLASSES = 11
    assert Mixup.from_config(cfg) is None
    cfg.MIXUP.ENABLE = True
    section = cfg.MIXUP
    section.ALPHA, section.CUTMIX_ALPHA, section.PROB, section.SWITCH_PROB, section.LABEL_SMOOTH_VALUE = (
        *(0.3, 0.4, 0.5, 0.6),
        0.7,
    )
    assert Mixup.from_config(cfg) == Mixup(
        num_classes=11, mixup_alpha=0.3, cutmix_alpha=0.4, prob=0.5, switch_prob=0.6, label_smoothing=0.7
    )


def test_nothing_to_mix_is_an_error_that_names_the_keys() -> None:
    with pytest.raises(UserError, match=r"MIXUP\.ALPHA is 0\.0 and MIXUP\.CUTMIX_ALPHA 0\.0; .*MIXUP\.ENABLE"):
        mixup(mixup_alpha=0.0, cutmix_alpha=0.0)
