"""A test class by class: how often each is found, which are taken for one another, and means over the classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from slowfast.evaluation.intervals import Interval, interval_of_mean, resampled_counts

NUM_CONFUSED = 20


@dataclass(frozen=True)
class ClassFigures:
    """One class of a test.

    Attributes:
        label: its number, from 0.
        name: "class 17" where nobody has named it.
        videos: that show it.
        predicted: videos whose best class it is.
        correct: those among them that show it.
        accuracy: percent of its videos that are found (recall); None where no video shows it.
        precision: percent of the videos predicted as it that show it; None where none is.
        f1: percent, their harmonic mean; None where no video shows it and none is predicted as it.
        average_precision: percent, of several labels per video; otherwise None.
    """

    label: int
    name: str
    videos: int
    predicted: int
    correct: int
    accuracy: float | None
    precision: float | None
    f1: float | None
    average_precision: float | None = None


@dataclass(frozen=True)
class ConfusedPair:
    """Videos of one class that are taken for another.

    Attributes:
        label, predicted: the two classes.
        name, predicted_name: and their names.
        videos: how many.
        share: percent of the class's videos.
    """

    label: int
    predicted: int
    name: str
    predicted_name: str
    videos: int
    share: float


@dataclass(frozen=True)
class MeanFigure:
    """A mean over classes, from 0 to 1, and its 95 % interval."""

    value: float
    interval: Interval


def class_name(names: Sequence[str] | None, label: int) -> str:
    """The name of a class, or its number if nobody knows it."""
    return f"class {label}" if names is None else names[label]


def confusion_matrix(predictions: Tensor, labels: Tensor, num_classes: int) -> np.ndarray:
    """How many videos of each class (row) are predicted as each class (column).

    Args:
        predictions, labels: int64 (n,).

    Returns:
        int64 (K, K).
    """
    cells = (labels * num_classes + predictions).numpy()
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def class_table(confusion: np.ndarray, names: Sequence[str] | None) -> list[ClassFigures]:
    """The figures of every class, in the order of the labels."""
    correct, videos, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return _figures(videos, predicted, correct, names)


def shown_table(
    scores: Tensor, labels: Tensor, average_precision: Sequence[float | None], names: Sequence[str] | None
) -> list[ClassFigures]:
    """The same of several labels per video: a video is predicted as its best class alone.

    Args:
        scores: (n, K).
        labels: (n, K), above 0 for the classes that a video shows.
        average_precision: percent, of each class.
        names: of the classes.
    """
    shown, best = labels > 0, scores.argmax(dim=1)
    videos = shown.sum(dim=0)
    predicted = best.bincount(minlength=scores.shape[1])
    correct = best[shown.gather(1, best[:, None])[:, 0]].bincount(minlength=scores.shape[1])
    counts = (part.numpy() for part in (videos, predicted, correct))
    return _figures(*counts, names, average_precision)


def _figures(
    videos: np.ndarray,
    predicted: np.ndarray,
    correct: np.ndarray,
    names: Sequence[str] | None,
    average_precision: Sequence[float | None] | None = None,
) -> list[ClassFigures]:
    """From counts (K,) to the figures of each class."""
    return [
        ClassFigures(
            label=label,
            name=class_name(names, label),
            videos=int(videos[label]),
            predicted=int(predicted[label]),
            correct=int(correct[label]),
            accuracy=_percent(correct[label], videos[label]),
            precision=_percent(correct[label], predicted[label]),
            f1=_percent(2 * correct[label], videos[label] + predicted[label]),
            average_precision=None if average_precision is None else average_precision[label],
        )
        for label in range(len(videos))
    ]


def confused_pairs(confusion: np.ndarray, names: Sequence[str] | None, limit: int = NUM_CONFUSED) -> list[ConfusedPair]:
    """The most frequent mistakes, the largest first; of equal ones those of the smaller labels."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    labels, predicted = wrong.nonzero()
    videos = wrong[labels, predicted]
    order = np.argsort(-videos, kind="stable")[:limit]
    totals = confusion.sum(axis=1)
    return [
        ConfusedPair(
            label=int(labels[i]),
            predicted=int(predicted[i]),
            name=class_name(names, int(labels[i])),
            predicted_name=class_name(names, int(predicted[i])),
            videos=int(videos[i]),
            share=100.0 * float(videos[i] / totals[labels[i]]),
        )
        for i in order
    ]


def mean_figures(confusion: np.ndarray) -> tuple[MeanFigure, MeanFigure]:
    """Mean class accuracy and macro F1.

    The first is the mean of the accuracies of the classes that a video shows; the second the mean of the F1 of the
    classes that a video shows or is predicted as (both as scikit-learn's ``balanced_accuracy_score`` and ``f1_score``).
    """
    labels, predicted = confusion.nonzero()
    counts, num_classes = confusion[labels, predicted], len(confusion)
    drawn = resampled_counts(counts)
    is_correct = labels == predicted
    # From cells to classes: how a resample's videos, predictions and hits spread over the classes.
    videos, guesses = summed_by_class(drawn, labels, num_classes), summed_by_class(drawn, predicted, num_classes)
    hits = summed_by_class(drawn[:, is_correct], labels[is_correct], num_classes)
    resampled_accuracy, resampled_f1 = means_of_counts(hits, videos, guesses)
    (accuracy,), (f1,) = means_of_counts(
        *(part[None] for part in (confusion.diagonal(), confusion.sum(1), confusion.sum(0)))
    )
    drawn_alike = {
        "correct": int(confusion.trace()),
        "resampled_correct": hits.sum(axis=1),
        "total": int(counts.sum()),
    }
    return (
        MeanFigure(float(accuracy), interval_of_mean(accuracy, resampled_accuracy, **drawn_alike, is_biased=False)),
        MeanFigure(float(f1), interval_of_mean(f1, resampled_f1, **drawn_alike, is_biased=True)),
    )


def summed_by_class(drawn: np.ndarray, classes: np.ndarray, num_classes: int) -> np.ndarray:
    """Of counts of kinds of videos (B, C) and the class of each kind (C,), the counts of classes (B, K)."""
    from scipy.sparse import csr_array

    size = (len(classes), num_classes)
    spread = csr_array((np.ones(len(classes), dtype=np.int64), (np.arange(len(classes)), classes)), shape=size)
    return drawn @ spread


def means_of_counts(hits: np.ndarray, videos: np.ndarray, guesses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean class accuracy and macro F1 of rows of counts (B, K): videos found, shown, and predicted as each class."""
    has_videos, has_any = videos > 0, videos + guesses > 0
    accuracy = np.divide(hits, videos, out=np.zeros(hits.shape), where=has_videos)
    f1 = np.divide(2 * hits, videos + guesses, out=np.zeros(hits.shape), where=has_any)
    return accuracy.sum(axis=1) / has_videos.sum(axis=1), f1.sum(axis=1) / has_any.sum(axis=1)


def _percent(part: int, whole: int) -> float | None:
    return 100.0 * float(part / whole) if whole else None
