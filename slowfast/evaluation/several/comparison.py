"""Two tests of the same videos beside each other: what differs, and whether chance could do that."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest
from torch import Tensor

from slowfast.evaluation.accuracy import resampled_mean_average_precision, top_k_correct
from slowfast.evaluation.classes import ClassFigures, class_name, means_of_counts, summed_by_class
from slowfast.evaluation.paired import mean_difference_interval, mean_over_classes_interval, resampled_interval
from slowfast.evaluation.report import TestReport, make_report
from slowfast.evaluation.report_files import ScoredVideos
from slowfast.evaluation.several.alignment import Aligned, told_labels

SCHEMA_VERSION = 1
# Of videos that only one test has right: from there on the distribution of McNemar's statistic is near chi-squared.
MIN_FOR_STATISTIC = 25

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class FigureDifference:
    """One figure of both tests, in percent; ``difference`` is b - a in percentage points.

    The intervals hold the figure, or the difference, of all such videos in 95 % of all tests; that of the difference
    is of the same videos in both.
    """

    name: str
    a: float
    a_interval: Range | None
    b: float
    b_interval: Range | None
    difference: float
    interval: Range


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """McNemar's test of the answers (top-1): whether videos that one test has right are as many in both directions.

    Attributes:
        both, only_a, only_b, neither: videos that are right in these tests.
        p_value: exact, of the two-sided binomial test of ``only_a`` among ``only_a + only_b`` at one half.
        statistic: (abs(only_a - only_b) - 1)**2 / (only_a + only_b), chi-squared with one degree of freedom; None for
            fewer than ``MIN_FOR_STATISTIC`` such videos.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    p_value: float
    statistic: float | None


@dataclass(frozen=True, kw_only=True)
class ClassDifference:
    """One class in both tests: percent of its videos that are found, or its average precision for several labels.

    ``interval`` is that of the difference, None for average precision.
    """

    label: int
    name: str
    videos: int
    a: float
    b: float
    difference: float
    interval: Range | None


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A video that is right in one test alone: its class or classes, and what ``a`` and ``b`` predict it as."""

    path: str
    label: str
    a: str
    a_probability: float
    b: str
    b_probability: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What tells two tests apart.

    Attributes:
        a, b: names of the tests.
        videos: that are compared.
        a_left_out, b_left_out: scored videos of each that are not in the other.
        figures: top1, top5, and mean_class_accuracy and macro_f1, or mean_average_precision for several labels.
        mcnemar: of top-1.
        class_measure: accuracy or average_precision.
        classes: that a video shows, those first that moved most.
        lost, won: videos that are right in a alone and in b alone, the most confident mistakes first.
        num_other_mistakes: videos that both have wrong, in different ways.
        notes: what else there is to know.
        schema_version: of the form of all this.
    """

    a: str
    b: str
    videos: int
    a_left_out: int
    b_left_out: int
    figures: Sequence[FigureDifference]
    mcnemar: McNemar
    class_measure: str
    classes: Sequence[ClassDifference]
    lost: Sequence[Flip]
    won: Sequence[Flip]
    num_other_mistakes: int
    notes: Sequence[str] = ()
    schema_version: int = SCHEMA_VERSION


def compare_tests(a: str, b: str, aligned: Aligned, notes: Sequence[str] = ()) -> Comparison:
    """Compare two tests.

    Args:
        a, b: their names.
        aligned: both, with at least one video.
        notes: what else there is to know.
    """
    one, other = aligned.videos
    reports = [
        make_report(test.scores, test.labels, len(test.labels), [], class_names=test.class_names)
        for test in (one, other)
    ]
    hits = [top_k_correct(test.scores, test.labels, 1) for test in (one, other)]
    best = [test.scores.argmax(dim=1) for test in (one, other)]
    by_label = one.labels.ndim == 1
    return Comparison(
        a=a,
        b=b,
        videos=len(one.paths),
        a_left_out=aligned.num_left_out[0],
        b_left_out=aligned.num_left_out[1],
        figures=_figures(reports, one, other),
        mcnemar=mcnemar(*hits),
        class_measure="accuracy" if by_label else "average_precision",
        classes=_classes(reports, one.labels, hits),
        lost=_flips(aligned.videos, hits[0] & ~hits[1], mistaken=1),
        won=_flips(aligned.videos, hits[1] & ~hits[0], mistaken=0),
        num_other_mistakes=int((~hits[0] & ~hits[1] & (best[0] != best[1])).sum()),
        notes=notes,
    )


def mcnemar(a: Tensor, b: Tensor) -> McNemar:
    """The test of two series of answers, bool (n,): right or wrong, of the same videos."""
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    number = only_a + only_b
    return McNemar(
        both=int((a & b).sum()),
        only_a=only_a,
        only_b=only_b,
        neither=int((~a & ~b).sum()),
        p_value=float(binomtest(only_a, number).pvalue) if number else 1.0,
        statistic=max(abs(only_a - only_b) - 1, 0) ** 2 / number if number >= MIN_FOR_STATISTIC else None,
    )


def _figures(reports: Sequence[TestReport], one: ScoredVideos, other: ScoredVideos) -> list[FigureDifference]:
    def figure(name: str, interval: Callable[[float], Range]) -> FigureDifference:
        a, b = (getattr(report, name) for report in reports)
        low, high = interval((b - a) / 100.0)
        intervals = [report.intervals.get(name) for report in reports]
        return FigureDifference(
            name=name,
            a=a,
            a_interval=intervals[0],
            b=b,
            b_interval=intervals[1],
            difference=b - a,
            interval=(100.0 * low, 100.0 * high),
        )

    answers = {f"top{k}": _moved(one, other, k) for k in (1, 5)}
    figures = [figure(name, lambda _, moved=moved: mean_difference_interval(moved)) for name, moved in answers.items()]
    if one.labels.ndim == 2:

        def precisions(counts: np.ndarray) -> np.ndarray:
            of_a, of_b = (
                resampled_mean_average_precision(test.scores, test.labels, counts) / 100.0 for test in (one, other)
            )
            return of_b - of_a

        name = "mean_average_precision"
        return [*figures, figure(name, lambda value: resampled_interval(value, precisions, len(one.labels)))]
    for i, name in enumerate(("mean_class_accuracy", "macro_f1")):

        def means(counts: np.ndarray, i: int = i) -> np.ndarray:
            return _means(other, counts)[i] - _means(one, counts)[i]

        figures.append(figure(name, lambda value, m=means: mean_over_classes_interval(value, m, answers["top1"])))
    return figures


def _moved(one: ScoredVideos, other: ScoredVideos, k: int) -> Tensor:
    """1 for each video that only the other test has right, -1 for each that only the first has, else 0."""
    return top_k_correct(other.scores, other.labels, k).double() - top_k_correct(one.scores, one.labels, k).double()


def _means(videos: ScoredVideos, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean class accuracy and macro F1 of resamples that have each video so often (B, n)."""
    labels, best, num_classes = videos.labels.numpy(), videos.scores.argmax(dim=1).numpy(), videos.scores.shape[1]
    is_hit = labels == best
    return means_of_counts(
        summed_by_class(counts[:, is_hit], labels[is_hit], num_classes),
        summed_by_class(counts, labels, num_classes),
        summed_by_class(counts, best, num_classes),
    )


def _classes(reports: Sequence[TestReport], labels: Tensor, hits: Sequence[Tensor]) -> list[ClassDifference]:
    moved = hits[1].double() - hits[0].double()

    def difference(a: ClassFigures, b: ClassFigures) -> ClassDifference:
        is_shown = labels == a.label if labels.ndim == 1 else None
        low, high = (math.nan, math.nan) if is_shown is None else mean_difference_interval(moved[is_shown])
        before, after = (row.average_precision if is_shown is None else row.accuracy for row in (a, b))
        return ClassDifference(
            label=a.label,
            name=a.name,
            videos=a.videos,
            a=before,
            b=after,
            difference=after - before,
            interval=None if is_shown is None else (100.0 * low, 100.0 * high),
        )

    rows = [difference(*pair) for pair in zip(*(report.classes for report in reports), strict=True) if pair[0].videos]
    return sorted(rows, key=lambda row: (-abs(row.difference), -row.videos, row.label))


def _flips(tests: Sequence[ScoredVideos], has_flipped: Tensor, *, mistaken: int) -> list[Flip]:
    """The videos that one test has right and the other, the ``mistaken`` (0 or 1), not."""
    best = [test.scores.argmax(dim=1) for test in tests]
    sure = [test.probabilities.gather(1, label[:, None])[:, 0] for test, label in zip(tests, best, strict=True)]
    rows = has_flipped.nonzero()[:, 0]
    rows = rows[sure[mistaken][rows].argsort(descending=True, stable=True)].tolist()
    names = tests[0].class_names
    return [
        Flip(
            path=tests[0].paths[row],
            label=told_labels(tests[0], row),
            a=class_name(names, int(best[0][row])),
            a_probability=float(sure[0][row]),
            b=class_name(names, int(best[1][row])),
            b_probability=float(sure[1][row]),
        )
        for row in rows
    ]
