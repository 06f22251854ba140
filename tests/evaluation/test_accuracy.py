"""Top-k accuracy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from slowfast.evaluation.accuracy import (
    _average_precisions,
    average_precision,
    best_classes,
    top_k_accuracy,
    top_k_correct,
)

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


def test_of_equal_scores_the_first_class_is_the_best_as_predictions_have_it():
    generator = torch.Generator().manual_seed(0)
    for num_classes in (3, 40, 700):
        scores = torch.randint(0, 2, (30, num_classes), generator=generator).float()
        labels = torch.randint(0, num_classes, (30,), generator=generator)
        assert torch.equal(best_classes(scores, 1)[:, 0], scores.argmax(dim=1))
        assert torch.equal(top_k_correct(scores, labels, 1), scores.argmax(dim=1) == labels)


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


# Several labels per video

SHOWN = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])


def test_any_of_a_videos_labels_makes_a_prediction_right():
    assert top_k_correct(SCORES, SHOWN, 1).tolist() == [False, True, False, False]
    assert top_k_correct(SCORES, SHOWN, 2).tolist() == [True, True, True, False]
    assert top_k_correct(SCORES, SHOWN, 5).tolist() == [True, True, True, False]  # the last shows no class
    assert top_k_accuracy(SCORES, SHOWN, 2) == pytest.approx(75)


@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 8), st.integers(1, 9))
def test_one_label_a_video_counts_the_same_in_either_form(seed: int, num_videos: int, num_classes: int, k: int):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(num_videos, num_classes, generator=generator)
    labels = torch.randint(num_classes, (num_videos,), generator=generator)
    shown = torch.nn.functional.one_hot(labels, num_classes).float()
    assert torch.equal(top_k_correct(scores, labels, k), top_k_correct(scores, shown, k))


def test_mean_average_precision_is_that_of_a_hand_computation():
    """Class 0 is found at ranks 1 and 3, class 1 at rank 4 of 4, class 2 never: no video shows it."""
    scores = torch.tensor([[0.9, 0.8, 0.1], [0.7, 0.6, 0.2], [0.5, 0.4, 0.3], [0.3, 0.2, 0.4]])
    shown = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    first, second = (1 / 1 + 2 / 3) / 2, 1 / 4
    assert average_precision(scores, shown).mean == pytest.approx(100 * (first + second) / 2, rel=1e-12)


def test_videos_of_one_score_count_together():
    """Both are above the one threshold, in whatever order they come: precision 1 / 2 at recall 1."""
    for shown in ([[1.0], [0.0]], [[0.0], [1.0]]):
        assert average_precision(torch.tensor([[0.5], [0.5]]), torch.tensor(shown)).mean == pytest.approx(50)


def test_perfect_scores_have_full_precision():
    assert average_precision(SHOWN + 0.1 * SCORES, SHOWN).mean == pytest.approx(100)


def test_without_a_shown_class_or_with_a_score_that_is_no_number_there_is_no_precision():
    assert math.isnan(average_precision(SCORES, torch.zeros(4, 3)).mean)
    assert math.isnan(average_precision(torch.empty(0, 3), torch.empty(0, 3)).mean)
    assert math.isnan(average_precision(SCORES * math.nan, SHOWN).mean)


@given(st.integers(0, 2**32), st.integers(2, 30), st.integers(1, 5), st.integers(2, 6))
def test_average_precision_is_scikit_learns(seed: int, num_videos: int, num_classes: int, num_levels: int):
    """With scores that are equal now and then, and videos that count several times or not at all."""
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, num_levels, (num_videos, num_classes)) / num_levels
    shown = generator.random((num_videos, num_classes)) < 0.4
    drawn = generator.integers(0, 4, (3, num_videos))
    found = _average_precisions(scores, shown, drawn)
    for weights, row in zip(drawn, found, strict=True):
        for label in range(num_classes):
            if shown[weights > 0, label].any():
                expected = average_precision_score(shown[:, label], scores[:, label], sample_weight=weights)
                assert row[label] == pytest.approx(expected, rel=1e-12)
            else:
                assert np.isnan(row[label])
