"""Intervals of differences: they hold what they say, and have a width where nothing differs."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from slowfast.evaluation.accuracy import mean_average_precision, resampled_mean_average_precision
from slowfast.evaluation.paired import (
    NUM_RESAMPLES,
    mean_difference_interval,
    resampled_interval,
)


def test_the_interval_of_a_textbook():
    """A. Agresti, Categorical Data Analysis: 944 of 1600 people approve, and half a year later 880; 150 and 86 of them
    have changed their minds. The interval is [0.021, 0.059].
    """
    differences = torch.tensor([1] * 150 + [-1] * 86 + [0] * 1364)
    low, high = mean_difference_interval(differences)
    assert low == pytest.approx(0.021, abs=5e-4) and high == pytest.approx(0.059, abs=5e-4)


def test_no_difference_is_no_certainty_and_no_video_tells_nothing():
    low, high = mean_difference_interval(torch.zeros(100))
    assert low == -high and 0.01 < high < 0.03
    assert all(map(math.isnan, mean_difference_interval(torch.zeros(0))))
    low, high = mean_difference_interval(torch.ones(3))
    assert low > 0 and high == 1


@pytest.mark.parametrize(
    ("gain", "loss", "number"), [(0.0, 0.0, 50), (0.1, 0.02, 100), (0.02, 0.01, 160), (0.5, 0.1, 40)]
)
def test_the_interval_covers_the_true_difference(gain: float, loss: float, number: int):
    rng, num_covered = np.random.default_rng(0), 0
    for _ in range(1000):
        draws = rng.choice([1, -1, 0], size=number, p=[gain, loss, 1 - gain - loss])
        low, high = mean_difference_interval(torch.from_numpy(draws))
        num_covered += low <= gain - loss <= high
    assert num_covered >= 920


def test_the_interval_covers_the_true_difference_of_a_mean_of_five_permutations():
    rng, num_covered = np.random.default_rng(0), 0
    for _ in range(1000):
        usual = rng.random(120) < 0.8
        others = rng.random((5, 120)) < 0.6
        low, high = mean_difference_interval(torch.from_numpy(usual - others.mean(axis=0)))
        num_covered += low <= 0.2 <= high
    assert num_covered >= 920


def test_precisions_of_resamples_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(np.round(rng.random((40, 4)), 1))  # with ties
    labels = torch.from_numpy(rng.random((40, 4)) < 0.2).float()
    labels[:, 3] = 0  # a class that no video shows
    counts = np.vstack([np.ones((1, 40), int), rng.multinomial(40, np.full(40, 1 / 40), size=30)])
    found = resampled_mean_average_precision(scores, labels, counts)
    assert found[0] == pytest.approx(mean_average_precision(scores, labels), abs=1e-9)
    for value, weights in zip(found, counts, strict=True):
        each = [
            average_precision_score(labels[:, k].numpy(), scores[:, k].numpy(), sample_weight=weights)
            for k in range(4)
            if (labels[:, k].numpy() * weights).any()
        ]
        assert value == pytest.approx(100 * np.mean(each), abs=1e-9)


def test_resamples_give_an_interval_of_any_difference():
    values = np.random.default_rng(1).normal(3, 2, size=400)

    def means(counts: np.ndarray) -> np.ndarray:
        assert counts.shape == (NUM_RESAMPLES, 400) and (counts.sum(axis=1) == 400).all()
        return counts @ values / 400

    low, high = resampled_interval(values.mean(), means, 400)
    half = 1.96 * values.std() / 20
    assert (low + high) / 2 == pytest.approx(values.mean()) and (high - low) / 2 == pytest.approx(half, rel=0.15)
    assert all(map(math.isnan, resampled_interval(0.0, means, 1)))
