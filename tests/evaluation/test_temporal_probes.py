"""Orders of frames: permutations that are fixed, differ, and are never the usual order."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slowfast.config.ranges import CHOICES
from slowfast.evaluation.probes.temporal_probes import (
    NUM_SHUFFLES,
    PROBES,
    logits_in_orders,
    orders_of_probes,
    shuffles,
)

lengths = st.integers(2, 64)


def test_the_config_takes_the_names_of_the_probes():
    assert CHOICES["TEST.PROBES"] == ("all", *PROBES)


@given(lengths)
def test_shuffles_are_different_permutations_and_none_is_the_usual_order(num_frames: int):
    orders = shuffles(num_frames)
    assert len(orders) == min(NUM_SHUFFLES, math.factorial(num_frames) - 1)
    assert all(sorted(order) == [*range(num_frames)] for order in orders)
    assert len({(*range(num_frames),), *map(tuple, orders)}) == len(orders) + 1
    assert orders == shuffles(num_frames)


def test_shuffles_are_the_same_in_every_version():
    """A figure in a report of today is to be compared with one of next year."""
    assert shuffles(2) == [[1, 0]]
    assert shuffles(8) == [
        [6, 7, 3, 0, 2, 5, 1, 4],
        [4, 3, 2, 7, 1, 5, 0, 6],
        [2, 6, 0, 4, 7, 3, 5, 1],
        [1, 5, 0, 2, 3, 4, 6, 7],
        [6, 2, 4, 1, 3, 5, 7, 0],
    ]


@given(lengths)
def test_every_order_takes_the_place_of_all_frames(num_frames: int):
    orders = orders_of_probes(["all"], num_frames)
    assert all(len(order) == num_frames and {*order} <= {*range(num_frames)} for order in orders.values())
    assert orders["reversed"] == [*range(num_frames)][::-1]
    assert [orders[f"frozen_{name}"] for name in ("first", "middle", "last")] == [
        [frame] * num_frames for frame in (0, num_frames // 2, num_frames - 1)
    ]
    half = orders["half_rate"]
    assert {*half} == {*range(0, num_frames, 2)} and half == sorted(half)
    assert all(half.count(frame) == 2 for frame in half[: num_frames // 2 * 2])


@pytest.mark.parametrize(
    ("probes", "names"),
    [
        ([], []),
        (["reversed"], ["reversed"]),
        (["half_rate", "shuffled"], [*(f"shuffled_{i}" for i in range(1, 6)), "half_rate"]),
        (["frozen"], ["frozen_first", "frozen_middle", "frozen_last"]),
    ],
)
def test_only_what_is_asked_for_is_scored(probes: list[str], names: list[str]):
    assert [*orders_of_probes(probes, 8)] == names


def test_the_model_sees_the_usual_clip_first_and_then_each_order_of_the_same_frames():
    seen = []

    def compute(clips: torch.Tensor) -> torch.Tensor:
        seen.append(clips.clone())
        return clips.mean(dim=(1, 3, 4))  # (N, T)

    clips = torch.randn(2, 3, 4, 5, 6)
    logits = logits_in_orders(compute, [[3, 2, 1, 0], [0, 0, 2, 2]], clips)
    assert logits.shape == (2, 3, 4) and torch.equal(seen[0], clips)
    assert torch.equal(seen[1], clips.flip(2)) and torch.equal(seen[2], clips[:, :, [0, 0, 2, 2]])
    assert torch.equal(logits[:, 1], logits[:, 0].flip(1))
