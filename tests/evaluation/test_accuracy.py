"""Top-k accuracy."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slowfast.evaluation.accuracy import top_k_accuracy, top_k_correct

SCORES = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4], [0.3, 0.4, 0.35], [0.2, 0.2, 0.6]])
LABELS = torch.tensor([1, 1, 2, 0])


def test_a_label_counts_among_the_k_highest_scores():
    assert top_k_correct(SCORES[:3], LABELS[:3], 1).tolist() == [True, False, False]
    assert top_k_correct(SCORES[:3], LABELS[:3], 2).tolist() == [True, False, True]
    assert top_k_correct(SCORES, LABELS, 3).tolist() == [True] * 4


def test_accuracy_is_in_percent():
    assert top_k_accuracy(SCORES[:3], LABELS[:3], 1) == pytest.approx(100 / 3)
    assert top_k_accuracy(SCORES[:3], LABELS[:3], 2) == pytest.approx(200 / 3)


def test_with_fewer_classes_than_k_all_count():
    assert top_k_accuracy(SCORES, LABELS, 5) == 100.0


def test_no_video_has_no_accuracy():
    assert math.isnan(top_k_accuracy(torch.empty(0, 3), torch.empty(0, dtype=torch.int64), 1))


@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 12))
def test_more_classes_counted_never_lower_the_accuracy(seed: int, num_videos: int, num_classes: int):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(num_videos, num_classes, generator=generator)
    labels = torch.randint(num_classes, (num_videos,), generator=generator)
    accuracies = [top_k_accuracy(scores, labels, k) for k in range(1, num_classes + 1)]
    assert accuracies == sorted(accuracies) and accuracies[-1] == 100.0
    assert accuracies[0] == pytest.approx(100 * (scores.argmax(1) == labels).double().mean().item())
