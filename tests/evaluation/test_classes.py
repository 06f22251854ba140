"""A test class by class."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from slowfast.evaluation.classes import class_table, confused_pairs, confusion_matrix, mean_figures, shown_table

NAMES = ["left", "right", "up"]
CONFUSION = np.array([[8, 2, 0], [0, 5, 5], [0, 0, 0]])


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(2, 9))
def test_figures_are_scikit_learns(seed: int, num_videos: int, num_classes: int):
    generator = torch.Generator().manual_seed(seed)
    labels, predictions = torch.randint(num_classes, (2, num_videos), generator=generator)
    confusion = confusion_matrix(predictions, labels, num_classes)
    every = list(range(num_classes))
    assert np.array_equal(confusion, metrics.confusion_matrix(labels, predictions, labels=every))
    accuracy, f1 = mean_figures(confusion)
    shown = labels.unique()
    assert accuracy.value == pytest.approx(
        metrics.recall_score(labels, predictions, labels=shown, average="macro", zero_division=0), abs=1e-12
    )
    assert f1.value == pytest.approx(metrics.f1_score(labels, predictions, average="macro", zero_division=0), abs=1e-12)
    figures = metrics.precision_recall_fscore_support(labels, predictions, labels=every, zero_division=0)
    for row, precision, recall, f, support in zip(class_table(confusion, None), *figures, strict=True):
        assert row.videos == support
        told = [(row.precision, precision), (row.accuracy, recall), (row.f1, f)]
        assert all((ours or 0.0) == pytest.approx(100 * theirs, abs=1e-9) for ours, theirs in told)
        assert (row.accuracy is None) == (support == 0) and (row.precision is None) == (row.predicted == 0)


def test_classes_have_their_names_and_what_nobody_shows_has_no_accuracy():
    left, right, up = class_table(CONFUSION, NAMES)
    assert (left.name, left.videos, left.predicted, left.correct, left.accuracy, left.precision) == (
        *("left", 10, 8, 8),
        *(80.0, 100.0),
    )
    assert (right.precision, right.f1) == (pytest.approx(500 / 7), pytest.approx(1000 / 17))
    assert (up.videos, up.accuracy, up.precision, up.f1) == (0, None, 0.0, 0.0)
    assert [row.name for row in class_table(CONFUSION, None)] == ["class 0", "class 1", "class 2"]


def test_confused_pairs_come_by_their_number():
    first, second = confused_pairs(CONFUSION, NAMES)
    assert (first.name, first.predicted_name, first.videos, first.share) == ("right", "up", 5, 50.0)
    assert (second.name, second.predicted_name, second.videos, second.share) == ("left", "right", 2, 20.0)
    assert confused_pairs(CONFUSION, NAMES, limit=1) == [first] and confused_pairs(np.diag([3, 4]), NAMES) == []


def test_of_several_labels_the_best_class_is_predicted():
    scores = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    shown = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    first, second = shown_table(scores, shown, [80.0, None], ["a", "b"])
    assert (first.videos, first.predicted, first.correct, first.average_precision) == (3, 2, 2, 80.0)
    assert (second.videos, second.predicted, second.correct, second.average_precision) == (1, 1, 0, None)
