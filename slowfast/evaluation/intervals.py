"""How far a test's figures may be off because its videos are a sample: 95 % intervals.

All is in shares from 0 to 1. Top-k accuracy is a proportion and takes Wilson's interval (E. B. Wilson, Probable
inference, the law of succession, and statistical inference, JASA 22, 1927), which also holds where nothing is wrong.
Means over classes have no such formula: videos are drawn anew, with replacement, to see how the figure varies (the
bootstrap: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993). Its percentiles are no interval near
100 %, nor for figures that few videos a class bias, as F1; so only the standard error and the bias are taken from it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95
NUM_RESAMPLES = 1000
# Of figures that take a pass over all videos for each resample.
NUM_BY_VIDEO = 200
SEED = 0


class Interval(NamedTuple):
    """Where the figure of all such videos lies, in ``CONFIDENCE`` of all tests."""

    low: float
    high: float


def wilson(num_correct: int, num_videos: int) -> Interval:
    """Wilson's interval of a proportion; from 0 to 1 without videos."""
    from scipy.stats import binomtest

    if num_videos == 0:
        return Interval(0.0, 1.0)
    found = binomtest(num_correct, num_videos).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(found.low), float(found.high))


def resampled_counts(counts: np.ndarray, num_resamples: int = NUM_RESAMPLES) -> np.ndarray:
    """Draw the videos anew, where only their kinds count.

    Args:
        counts: int (C,), how many videos are of each kind.

    Returns:
        int64 (num_resamples, C); each row has as many videos as there are. The same every time.
    """
    total = int(counts.sum())
    return np.random.default_rng(SEED).multinomial(total, counts / total, size=num_resamples)


def interval_of_mean(
    value: float, resampled: np.ndarray, *, correct: int, resampled_correct: np.ndarray, total: int, is_biased: bool
) -> Interval:
    """The interval of a mean over classes: Wilson's of top-1, scaled by the ratio of their standard errors.

    Where nothing, or next to nothing, is wrong, resamples hardly vary; Wilson's interval knows how much may be.

    Args:
        value: of the figure, from 0 to 1.
        resampled: (B,), the figure of each resample.
        correct, total: videos whose best class is right, and all.
        resampled_correct: (B,), videos of each resample whose best class is right.
        is_biased: resamples are off by as much as the test itself, which is taken off (F1); a mean of the classes'
            accuracies is not.
    """
    accuracy, bounds = correct / total, wilson(correct, total)
    spread, error = float(np.std(resampled_correct / total)), float(np.std(resampled))
    ratio = error / spread if spread > 0 else 1.0
    centre = value - (float(np.mean(resampled)) - value if is_biased else 0.0)
    low, high = centre - ratio * (accuracy - bounds.low), centre + ratio * (bounds.high - accuracy)
    return Interval(float(min(max(low, 0.0), value)), float(max(min(high, 1.0), value)))


def interval_by_video(value: float, num_videos: int, statistic: Callable[[np.ndarray], np.ndarray]) -> Interval:
    """The interval of any figure of videos, by its bias and standard error among ``NUM_BY_VIDEO`` resamples.

    Args:
        value: of the figure, from 0 to 1.
        num_videos: n.
        statistic: from how often each video was drawn, int64 (b, n), to the figure of each resample, (b,); it is given
            a few resamples at a time.
    """
    from scipy.stats import norm

    drawn = resampled_counts(np.ones(num_videos, dtype=np.int64), NUM_BY_VIDEO)
    resampled = np.concatenate([statistic(some) for some in np.array_split(drawn, 10)])
    resampled = resampled[np.isfinite(resampled)]
    if np.ptp(resampled) == 0:  # nothing is wrong; how much may be, proportions tell
        return Interval(min(wilson(num_videos, num_videos).low, value), value)
    # On log odds, whose ends are out of reach as 0 and 1 should be.
    centre = 2 * _log_odds(value) - _log_odds(resampled).mean()
    reach = norm.ppf(0.5 + CONFIDENCE / 2) * _log_odds(resampled).std()
    low, high = 1 / (1 + np.exp(-centre + reach)), 1 / (1 + np.exp(-centre - reach))
    return Interval(min(float(low), value), max(float(high), value))


def _log_odds(shares: float | np.ndarray) -> np.ndarray:
    inner = np.clip(shares, 1e-6, 1 - 1e-6)
    return np.log(inner / (1 - inner))
