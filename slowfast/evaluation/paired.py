"""Intervals of the difference between two ways of scoring the same videos."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

LEVEL = 0.95
_Z = 1.959963984540054  # the normal distribution has LEVEL of its mass within so many standard deviations
NUM_RESAMPLES = 200
_SEED = 0


def mean_difference_interval(differences: Tensor) -> tuple[float, float]:
    """95 % interval of a mean difference of shares, from what each video adds to it.

    This is Wald's interval after half a video is added to each cell of the table of two answers, right or wrong, as
    A. Agresti and Y. Min (Statistics in Medicine 24, 2005, 729-740) propose it for matched pairs. It has a width where
    no answer changes, too, which a bootstrap of the videos has not.

    Args:
        differences: (n,) in [-1, 1]: for answers that are right (1) or wrong (0), 1, 0 or -1.

    Returns:
        Lowest and highest in [-1, 1]; without videos both are NaN.
    """
    number = len(differences)
    if number == 0:
        return math.nan, math.nan
    values = differences.double()
    total, squares = values.sum().item(), values.square().sum().item()
    mean = total / (number + 2)  # of the four halves two are no difference, one is 1 and one -1
    variance = (squares + 1) / (number + 2) - mean**2
    reach = _Z * math.sqrt(variance / (number + 2))
    return max(mean - reach, -1.0), min(mean + reach, 1.0)


def resampled_interval(
    difference: float, resample: Callable[[np.ndarray], Sequence[float]], num_videos: int
) -> tuple[float, float]:
    """95 % interval of any difference: its standard error over resamples of the videos, and a normal distribution.

    Args:
        difference: of all videos.
        resample: takes int64 (``NUM_RESAMPLES``, n), how often each resample has each video, and gives the difference
            of each resample; both ways of scoring are to see the same videos.
        num_videos: n.

    Returns:
        Lowest and highest, NaN with fewer than 2 videos.
    """
    if num_videos < 2:
        return math.nan, math.nan
    reach = _Z * float(np.nanstd(resample(_drawn(num_videos)), ddof=1))
    return difference - reach, difference + reach


def mean_over_classes_interval(
    difference: float, resample: Callable[[np.ndarray], Sequence[float]], answers: Tensor
) -> tuple[float, float]:
    """95 % interval of a difference of means over classes: that of the answers, scaled by the ratio of standard errors.

    Resamples alone would say that two tests with the same answers differ by exactly nothing.

    Args:
        difference: of all videos, in [-1, 1].
        resample: as of ``resampled_interval``.
        answers: (n,), the difference of each video's answers: 1, 0 or -1.

    Returns:
        Lowest and highest in [-1, 1], NaN without videos.
    """
    if len(answers) == 0:
        return math.nan, math.nan
    counts = _drawn(len(answers))
    error = float(np.nanstd(resample(counts), ddof=1))
    spread = float(np.std(counts @ answers.double().numpy() / len(answers), ddof=1))
    low, high = (bound - answers.double().mean().item() for bound in mean_difference_interval(answers))
    ratio = error / spread if spread > 0 else 1.0
    # Predictions may differ where no answer is right, which F1 sees.
    reach = 0.0 if spread > 0 else _Z * error
    below, above = min(ratio * low, -reach), max(ratio * high, reach)
    return max(difference + below, -1.0), min(difference + above, 1.0)


def _drawn(num_videos: int) -> np.ndarray:
    """How often each resample has each video, int64 (``NUM_RESAMPLES``, n); the same every time."""
    shares = np.full(num_videos, 1 / num_videos)
    return np.random.default_rng(_SEED).multinomial(num_videos, shares, size=NUM_RESAMPLES)
