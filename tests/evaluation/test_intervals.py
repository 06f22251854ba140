"""Intervals: where the figure of all videos lies."""

import numpy as np
import pytest
import torch

from slowfast.evaluation.accuracy import _average_precisions, average_precision
from slowfast.evaluation.classes import mean_figures
from slowfast.evaluation.intervals import interval_by_video, wilson

# Classes, videos of a test, accuracy of the classes on average, tests.
POPULATIONS = [
    (10, 160, 0.99, 1000),
    (5, 60, 0.9, 1000),
    (10, 500, 0.8, 1000),
    (50, 300, 0.85, 1000),
    (100, 1000, 0.7, 300),
]


def test_wilsons_interval_is_the_textbooks():
    # R. G. Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17, 1998.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0000, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_without_a_mistake_there_may_be_some():
    for num_videos in (1, 20, 160):
        low, high = wilson(num_videos, num_videos)
        assert high == 1.0 and 0 < low < 1
        for figure in mean_figures(np.diag([num_videos, num_videos])):
            assert figure.value == 1.0 and figure.interval.high == 1.0 and 0 < figure.interval.low < 1


def test_no_video_says_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def test_intervals_hold_their_figure_and_narrow_with_more_videos():
    confusion = np.array([[8, 2, 0], [1, 6, 3], [0, 1, 9]])
    for few, many in zip(mean_figures(confusion), mean_figures(100 * confusion), strict=True):
        assert few.value == pytest.approx(many.value, rel=1e-12)
        for figure in (few, many):
            assert 0 <= figure.interval.low <= figure.value <= figure.interval.high <= 1
        widths = [figure.interval.high - figure.interval.low for figure in (few, many)]
        assert widths[1] == pytest.approx(widths[0] / 10, rel=0.15)


def population(num_classes: int, accuracy: float, rng: np.random.Generator) -> np.ndarray:
    """How probable each pair of label and prediction is, (K, K): classes of several sizes and accuracies."""
    accuracies = rng.beta(5 * accuracy, 5 * (1 - accuracy), num_classes) if accuracy < 0.98 else accuracy
    mistakes = rng.dirichlet(np.full(num_classes, 0.3), num_classes)
    np.fill_diagonal(mistakes, 0)
    joint = mistakes / mistakes.sum(axis=1, keepdims=True) * (1 - np.broadcast_to(accuracies, num_classes)[:, None])
    np.fill_diagonal(joint, accuracies)
    return rng.dirichlet(np.full(num_classes, 20.0))[:, None] * joint


@pytest.mark.slow
@pytest.mark.parametrize(("num_classes", "num_videos", "accuracy", "num_tests"), POPULATIONS)
def test_intervals_cover_the_figures_of_all_videos(num_classes: int, num_videos: int, accuracy: float, num_tests: int):
    """In at least 92 % of the tests that draw their videos from one population."""
    rng = np.random.default_rng(0)
    joint = population(num_classes, accuracy, rng)
    truth = [joint.trace(), *(figure.value for figure in mean_figures((1e9 * joint).astype(np.int64)))]
    covered = np.zeros(3)
    for counts in rng.multinomial(num_videos, joint.ravel(), size=num_tests):
        confusion = counts.reshape(num_classes, num_classes)
        intervals = [wilson(confusion.trace(), num_videos), *(figure.interval for figure in mean_figures(confusion))]
        covered += [low <= value <= high for (low, high), value in zip(intervals, truth, strict=True)]
    assert (covered / num_tests >= 0.92).all(), covered / num_tests


@pytest.mark.slow
def test_the_interval_of_mean_average_precision_covers_that_of_all_videos():
    rng = np.random.default_rng(0)

    def videos(number: int) -> tuple[np.ndarray, np.ndarray]:
        shown = rng.random((number, 5)) < 0.3
        return rng.normal(size=shown.shape) + 1.5 * shown, shown

    def mean(scores: np.ndarray, shown: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        return np.nanmean(_average_precisions(scores, shown, drawn), axis=1)

    truth = mean(*videos(200_000), np.ones((1, 200_000), dtype=np.int64))[0]
    covered = 0
    for _ in range(300):
        scores, shown = videos(150)
        value = mean(scores, shown, np.ones((1, 150), dtype=np.int64))[0]
        low, high = interval_by_video(value, 150, lambda drawn, of=(scores, shown): mean(*of, drawn))
        covered += low <= truth <= high
    assert covered / 300 >= 0.92, covered


def test_mean_average_precision_without_a_mistake_may_have_some():
    scores, shown = np.eye(20)[:, :2], np.eye(20)[:, :2] > 0
    low, high = average_precision(torch.from_numpy(scores), torch.from_numpy(shown)).interval
    assert high == 1.0 and 0.8 < low < 0.9
