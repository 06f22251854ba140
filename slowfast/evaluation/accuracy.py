"""Top-k accuracy and mean average precision."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from slowfast.evaluation.intervals import Interval, interval_by_video


def best_classes(scores: Tensor, k: int) -> Tensor:
    """The classes of the highest scores, the best first; of equal scores the smaller label, as ``argmax`` has it.

    Args:
        scores: (..., K), higher is better.
        k: how many; all K if it is more.

    Returns:
        int64 (..., min(k, K)).
    """
    return scores.argsort(dim=-1, descending=True, stable=True)[..., :k]


def top_k_correct(scores: Tensor, labels: Tensor, k: int) -> Tensor:
    """Whether the label, or any of a video's labels, is among the k classes of the highest scores.

    Args:
        scores: (N, K), higher is better; with k > K every video that has a label counts as correct.
        labels: int64 (N,); of a multi-label run (N, K), above 0 for the classes that a video shows.

    Returns:
        bool (N,).
    """
    top = best_classes(scores, k)
    if labels.ndim == 2:
        return (labels.gather(1, top) > 0).any(dim=1)
    return (top == labels[:, None]).any(dim=1)


def top_k_accuracy(scores: Tensor, labels: Tensor, k: int) -> float:
    """Share of videos in percent; NaN without videos."""
    if len(labels) == 0:
        return float("nan")
    return 100.0 * top_k_correct(scores, labels, k).double().mean().item()


@dataclass(frozen=True)
class AveragePrecision:
    """How well scores find the videos of each class, in percent.

    Attributes:
        of_class: one by one; None for a class that no video shows.
        mean: over the classes that a video shows; NaN if there is none, or a score is not finite.
        interval: of the mean, in shares from 0 to 1, by drawing videos anew; None where the mean is NaN.
    """

    of_class: Sequence[float | None]
    mean: float
    interval: Interval | None = None


def mean_average_precision(scores: Tensor, labels: Tensor) -> float:
    """The mean of ``average_precision`` alone, in percent."""
    if len(labels) == 0 or not scores.isfinite().all():
        return float("nan")
    return float(resampled_mean_average_precision(scores, labels, np.ones((1, len(labels)), dtype=np.int64))[0])


def resampled_mean_average_precision(scores: Tensor, labels: Tensor, counts: np.ndarray) -> np.ndarray:
    """``mean_average_precision`` of many resamples of the videos at once.

    Args:
        scores: finite (N, K).
        labels: (N, K), above 0 for the classes that a video shows.
        counts: int64 (B, N), how often each resample has each video.

    Returns:
        Percent, (B,); of the classes that a video of the resample shows, NaN where there is none.
    """
    return 100.0 * _mean_of_shown(_average_precisions(scores.double().numpy(), (labels > 0).numpy(), counts))


def average_precision(scores: Tensor, labels: Tensor) -> AveragePrecision:
    """Average precision of each class over the videos, and its mean over the classes that a video shows.

    The average precision of a class is the sum over its score thresholds of (recall gained) x (precision), without
    interpolation; videos of one score count together.

    Args:
        scores: (N, K), higher is better.
        labels: (N, K), above 0 for the classes that a video shows.
    """
    shown = (labels > 0).numpy()
    if not shown.any() or not scores.isfinite().all():
        return AveragePrecision([None] * shown.shape[1], float("nan"))
    values = scores.double().numpy()
    (of_class,) = _average_precisions(values, shown, np.ones((1, len(shown)), dtype=np.int64))
    mean = 100.0 * float(np.nanmean(of_class))
    interval = interval_by_video(
        mean / 100.0, len(shown), lambda drawn: _mean_of_shown(_average_precisions(values, shown, drawn))
    )
    told = [None if np.isnan(value) else 100.0 * float(value) for value in of_class]
    return AveragePrecision(told, mean, interval)


def _mean_of_shown(values: np.ndarray) -> np.ndarray:
    """Of rows of values of the classes (B, K), NaN for those that are not shown: (B,), NaN where none is."""
    is_shown = ~np.isnan(values)
    total, number = np.where(is_shown, values, 0.0).sum(axis=1), is_shown.sum(axis=1)
    return np.divide(total, number, out=np.full(len(values), np.nan), where=number > 0)


def _average_precisions(scores: np.ndarray, shown: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Of scores and labels (N, K) and how often each video counts (B, N): (B, K), NaN where none shows the class."""
    found = np.full((len(drawn), shown.shape[1]), np.nan)
    for label in shown.any(axis=0).nonzero()[0]:
        order = np.argsort(-scores[:, label], kind="stable")
        ranked = scores[order, label]
        # Thresholds lie behind the last video of each score.
        ends = np.append(np.nonzero(np.diff(ranked))[0], len(ranked) - 1)
        taken = drawn[:, order]
        hits = np.cumsum(taken * shown[order, label], axis=1)[:, ends]
        num_taken = np.cumsum(taken, axis=1)[:, ends]
        precision = np.divide(hits, num_taken, out=np.zeros(hits.shape), where=num_taken > 0)
        gained = np.diff(hits, axis=1, prepend=0)
        total = hits[:, -1]
        np.divide((gained * precision).sum(axis=1), total, out=found[:, label], where=total > 0)
    return found
