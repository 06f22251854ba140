"""Balanced sampling: classes come equally often, videos of a class, too; and a resumed epoch is its end."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slowfast.datasets import build_dataset
from slowfast.datasets.balanced_order import BalancedOrder, times_before
from slowfast.datasets.class_counts import class_counts, class_labels
from slowfast.datasets.epoch_sampler import EpochSampler
from slowfast.datasets.lists.record_table import ChainedRecords
from slowfast.datasets.records import SampleKey, VideoRecord
from tests.datasets.tiny_config import tiny_config

# Sizes of the classes; labels have gaps, and the videos are in any order.
class_sizes = st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any)
epochs, seeds = st.integers(0, 200), st.integers(0, 2**32 - 1)


def labels_of(sizes: list[int]) -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(2 * np.arange(len(sizes)), sizes))


@given(sizes=class_sizes, epoch=epochs, seed=seeds)
def test_any_beginning_of_an_epoch_has_all_classes_equally_often_up_to_one(sizes: list[int], epoch: int, seed: int):
    labels = labels_of(sizes)
    order = BalancedOrder(labels, seed=seed)(epoch)
    assert len(order) == len(labels)
    classes = np.unique(labels)
    drawn = (labels[order][:, None] == classes).cumsum(axis=0)  # (N, K)
    assert (drawn.max(axis=1) - drawn.min(axis=1) <= 1).all()


@given(sizes=class_sizes, epoch=epochs, seed=seeds, share_used=st.floats(0, 1))
def test_the_videos_of_a_class_come_equally_often_up_to_one(sizes: list[int], epoch: int, seed: int, share_used: float):
    labels = labels_of(sizes)
    used = BalancedOrder(labels, seed=seed)(epoch)[: int(share_used * len(labels))]
    times = np.bincount(used, minlength=len(labels))
    for label in np.unique(labels):
        own = times[labels == label]
        assert own.max() - own.min() <= 1


@given(sizes=class_sizes, seed=seeds, epoch=epochs)
def test_a_large_class_shows_other_videos_every_epoch_before_any_comes_again(sizes: list[int], seed: int, epoch: int):
    labels = labels_of(sizes)
    order = BalancedOrder(labels, seed=seed)
    for label, size in zip(*np.unique(labels, return_counts=True), strict=True):
        num_epochs = size // order.num_rounds  # that share a permutation
        first = epoch // num_epochs * num_epochs if num_epochs else 0
        shown = np.concatenate([order(first + i) for i in range(num_epochs)] or [[]]).astype(int)
        shown = shown[labels[shown] == label]
        assert len(set(shown.tolist())) == len(shown)


def test_epochs_and_seeds_differ_and_repeat():
    labels = labels_of([3, 30, 9])
    orders = [BalancedOrder(labels, seed=seed)(epoch).tolist() for seed, epoch in ((1, 0), (1, 1), (2, 0), (1, 0))]
    assert orders[0] == orders[3]
    assert len({tuple(order) for order in orders}) == 3


def test_all_videos_of_a_large_class_are_seen_in_time():
    """100 videos, of which an epoch of 104 draws takes 52: all but 4 within one epoch, and others the next time."""
    labels = np.repeat([0, 1], [4, 100])
    order, seen = BalancedOrder(labels, seed=0), set()
    for epoch in range(12):
        seen |= set(order(epoch).tolist())
    assert seen == set(range(104))


@given(sizes=class_sizes, epoch=epochs, share_used=st.floats(0.01, 1))
def test_what_is_told_of_an_epoch_holds(sizes: list[int], epoch: int, share_used: float):
    labels = labels_of(sizes)
    order = BalancedOrder(labels, seed=5)
    num_used = max(int(share_used * len(labels)), 1)
    used = order(epoch)[:num_used]
    told = order.describe(num_used)
    classes = np.unique(labels)
    draws = [int((labels[used] == label).sum()) for label in classes]
    assert told.num_classes == len(classes) and told.draws == (min(draws), max(draws))
    assert told.videos[0] <= len(set(used.tolist())) <= told.videos[1]
    assert max(Counter(used.tolist()).values()) <= told.most_often


def test_what_is_told_is_reached():
    """3, 1 and 8 videos, 10 draws: 4, 3 and 3 of them, and it is the fourth draw of class 2 that is another video."""
    order = BalancedOrder(np.repeat([0, 1, 2], [3, 1, 8]), seed=0)
    told = order.describe(10)
    assert told == (3, (3, 4), (7, 8), 4)
    seen = [order(epoch)[:10].tolist() for epoch in range(40)]
    assert {len(set(used)) for used in seen} == {7, 8}
    assert max(max(Counter(used).values()) for used in seen) == 4


@given(values=st.lists(st.integers(0, 5), max_size=30))
def test_times_before_counts_equal_values(values: list[int]):
    assert times_before(np.array(values, dtype=np.int64)).tolist() == [
        values[:place].count(value) for place, value in enumerate(values)
    ]


# The sampler


sizes_of_steps = st.fixed_dictionaries({"world_size": st.integers(1, 5), "step_size": st.integers(1, 6)})


def samplers(labels: np.ndarray, *, world_size: int, step_size: int) -> list[EpochSampler]:
    return [
        EpochSampler(
            len(labels),
            rank=rank,
            world_size=world_size,
            step_size=step_size,
            is_train=True,
            seed=3,
            balance=BalancedOrder(labels, seed=3),
        )
        for rank in range(world_size)
    ]


@given(sizes=class_sizes, step=sizes_of_steps, epoch=epochs)
def test_processes_share_an_epoch_out_and_number_the_draws_of_a_video(sizes: list[int], step: dict, epoch: int):
    labels = labels_of(sizes)
    parts = []
    for sampler in samplers(labels, **step):
        sampler.set_epoch(epoch)
        parts.append(list(sampler))
        assert len(parts[-1]) == len(sampler) == sampler.num_steps * step["step_size"]
    together = list(chain.from_iterable(zip(*parts, strict=True)))
    assert [key.video_idx for key in together] == BalancedOrder(labels, seed=3)(epoch)[: len(together)].tolist()
    assert len(set(together)) == len(together)  # no two samples are drawn alike
    of_video: dict[int, list[int]] = {}
    for key in together:
        of_video.setdefault(key.video_idx, []).append(key.draw)
    assert all(draws == list(range(len(draws))) for draws in of_video.values())


@given(sizes=class_sizes, step=sizes_of_steps, epoch=epochs, share_done=st.floats(0, 1))
def test_what_is_left_of_an_epoch_is_its_end(sizes: list[int], step: dict, epoch: int, share_done: float):
    for sampler in samplers(labels_of(sizes), **step):
        sampler.set_epoch(epoch)
        whole, num_steps_done = list(sampler), int(share_done * sampler.num_steps)
        sampler.set_epoch(epoch, num_steps_done=num_steps_done)
        assert list(sampler) == whole[num_steps_done * step["step_size"] :]


def test_a_step_of_another_size_does_not_change_the_order():
    """A run that resumes within an epoch with another batch then takes the videos that are left."""
    orders = []
    for step_size in (1, 4):
        (sampler,) = samplers(labels_of([3, 20, 9]), world_size=1, step_size=step_size)
        orders.append(list(sampler))
    assert orders[0] == orders[1]


# Clips and counts


def test_a_video_that_comes_again_is_another_clip_and_the_first_is_as_without(video_set):
    for overrides in ([], ["AUG.ENABLE", True, "AUG.NUM_SAMPLE", 2]):
        dataset = build_dataset(tiny_config(video_set, *overrides), "train")
        plain, first, second, third = (
            dataset[key].views for key in (SampleKey(1, 3), SampleKey(1, 3, 0), SampleKey(1, 3, 1), SampleKey(1, 3, 2))
        )
        assert torch.equal(plain, first)
        clips = [*first, *second, *third]
        assert not any(torch.equal(one, other) for i, one in enumerate(clips) for other in clips[:i])
        assert torch.equal(dataset[SampleKey(1, 3, 2)].views, third)


def test_classes_are_counted_in_every_kind_of_list(video_set):
    table = build_dataset(tiny_config(video_set), "train").records
    assert class_counts(table, 3).tolist() == [4, 4, 0]
    plain = [VideoRecord("a", 1), VideoRecord("b", 2)]
    assert class_labels(ChainedRecords([table, plain])).tolist() == [*[record.label for record in table], 1, 2]
    several = [VideoRecord("a", (0, 2)), VideoRecord("b", (2,)), VideoRecord("c", (1, 2))]
    assert class_counts(several, 4).tolist() == [1, 1, 3, 0]


@pytest.mark.parametrize("num_labels", [1, 2])
def test_a_single_class_or_video_is_an_epoch_as_ever(num_labels: int):
    labels = np.zeros(num_labels, dtype=np.int64)
    assert sorted(BalancedOrder(labels, seed=0)(4).tolist()) == list(range(num_labels))
