"""Two tests beside each other: figures and tests as scikit-learn and SciPy have them."""

from functools import partial
from math import comb

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score
from torch import Tensor

from slowfast.evaluation.paired import mean_difference_interval, mean_over_classes_interval
from slowfast.evaluation.report_files import ScoredVideos
from slowfast.evaluation.several.alignment import align
from slowfast.evaluation.several.comparison import MIN_FOR_STATISTIC, Comparison, compare_tests, mcnemar
from slowfast.evaluation.several.comparison_text import describe_comparison
from tests.evaluation.finished_tests import made_up

NAMES = ["left", "right\nthere", "up", "größer", "e", "f", "g"]


def compared(a: Tensor, b: Tensor, labels: Tensor) -> Comparison:
    paths = [f"{row}.mp4" for row in range(len(labels))]
    tests = [ScoredVideos(paths, labels, scores, scores, NAMES[: scores.shape[1]]) for scores in (a, b)]
    return compare_tests("A", "B", align(["A", "B"], tests))


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor, Tensor]:
    (a, labels), (b, _) = made_up(0, 200, 7, 0.6), made_up(1, 200, 7, 0.8)
    return a, b, labels


def test_figures_are_those_of_scikit_learn(pair: tuple[Tensor, Tensor, Tensor]):
    *tests, labels = pair
    figures = {figure.name: figure for figure in compared(*pair).figures}
    assert list(figures) == ["top1", "top5", "mean_class_accuracy", "macro_f1"]
    of_both = [
        (
            100 * float((test.argmax(dim=1) == labels).double().mean()),
            100 * balanced_accuracy_score(labels, test.argmax(dim=1)),
            100 * f1_score(labels, test.argmax(dim=1), average="macro"),
        )
        for test in tests
    ]
    for name, a, b in zip(("top1", "mean_class_accuracy", "macro_f1"), *of_both, strict=True):
        figure = figures[name]
        assert (figure.a, figure.b) == pytest.approx((a, b)) and figure.difference == pytest.approx(b - a)
        assert figure.interval[0] < figure.difference < figure.interval[1]
        assert figure.a_interval[0] < a < figure.a_interval[1] and figure.b_interval[0] < b < figure.b_interval[1]
    moved = (tests[1].argmax(dim=1) == labels).double() - (tests[0].argmax(dim=1) == labels).double()
    assert figures["top1"].interval == pytest.approx([100 * bound for bound in mean_difference_interval(moved)])


def test_the_other_way_round_is_the_negative(pair: tuple[Tensor, Tensor, Tensor]):
    a, b, labels = pair
    one, other = compared(a, b, labels), compared(b, a, labels)
    for figure, back in zip(one.figures, other.figures, strict=True):
        assert figure.difference == pytest.approx(-back.difference)
        assert figure.interval == pytest.approx([-bound for bound in reversed(back.interval)])
    assert one.mcnemar.p_value == other.mcnemar.p_value and one.mcnemar.only_a == other.mcnemar.only_b
    assert [flip.path for flip in one.lost] == [flip.path for flip in other.won]


def test_mcnemar_is_the_binomial_and_the_chi_squared_of_the_textbook():
    def answers(only_a: int, only_b: int) -> tuple[Tensor, Tensor]:
        table = [(1, 1)] * 5 + [(1, 0)] * only_a + [(0, 1)] * only_b + [(0, 0)] * 3
        return tuple(torch.tensor(table, dtype=torch.bool).unbind(dim=1))

    few = mcnemar(*answers(2, 8))
    assert (few.both, few.only_a, few.only_b, few.neither, few.statistic) == (5, 2, 8, 3, None)
    assert few.p_value == pytest.approx(2 * sum(comb(10, k) for k in range(3)) / 2**10)
    none = mcnemar(*answers(0, 0))
    assert none.p_value == 1.0 and none.statistic is None
    many = mcnemar(*answers(150, 86))  # A. Agresti, Categorical Data Analysis; there without the correction: 17.36
    assert many.statistic == pytest.approx((abs(150 - 86) - 1) ** 2 / 236)
    assert many.p_value == pytest.approx(chi2.sf(many.statistic, 1), rel=0.1)
    assert mcnemar(*answers(MIN_FOR_STATISTIC, 0)).statistic is not None
    equal = mcnemar(*answers(20, 20))
    assert equal.statistic == 0 and equal.p_value == 1.0


def test_several_labels_are_compared_by_average_precision():
    rng = torch.Generator().manual_seed(0)
    shown = (torch.rand(80, 5, generator=rng) < 0.3).float()
    a, b = (torch.randn(80, 5, generator=rng) + shown * gain for gain in (0.5, 2.0))
    comparison = compared(a, b, shown)
    figure = comparison.figures[-1]
    precisions = [[100 * average_precision_score(shown[:, k], test[:, k]) for k in range(5)] for test in (a, b)]
    assert figure.name == "mean_average_precision" and comparison.class_measure == "average_precision"
    assert (figure.a, figure.b) == pytest.approx((np.mean(precisions[0]), np.mean(precisions[1])))
    assert 0 < figure.interval[0] < figure.difference < figure.interval[1]
    for row in comparison.classes:
        assert (row.a, row.b) == pytest.approx((precisions[0][row.label], precisions[1][row.label]))
        assert row.interval is None
    text = "\n".join(describe_comparison(comparison))
    assert "mean average precision" in text and "macro F1" not in text


def test_classes_and_videos_that_moved_are_named(pair: tuple[Tensor, Tensor, Tensor]):
    comparison = compared(*pair)
    a, b, labels = pair
    hits = [test.argmax(dim=1) == labels for test in (a, b)]
    sizes = [abs(row.difference) for row in comparison.classes]
    assert sizes == sorted(sizes, reverse=True) and len(sizes) == 7
    for row in comparison.classes:
        assert row.b == pytest.approx(100 * float(hits[1][labels == row.label].double().mean()))
        assert row.interval[0] <= row.difference <= row.interval[1] and row.name == NAMES[row.label]
    lost = {f"{row}.mp4" for row in (hits[0] & ~hits[1]).nonzero()[:, 0].tolist()}
    assert {flip.path for flip in comparison.lost} == lost and len(comparison.won) == comparison.mcnemar.only_b
    confidence = [flip.b_probability for flip in comparison.lost]
    assert confidence == sorted(confidence, reverse=True)
    for flip in comparison.won:
        assert flip.b == flip.label != flip.a
    both_wrong = ~hits[0] & ~hits[1] & (a.argmax(dim=1) != b.argmax(dim=1))
    assert comparison.num_other_mistakes == int(both_wrong.sum())


def test_a_test_beside_itself_differs_by_nothing_and_says_how_sure_that_is(pair: tuple[Tensor, Tensor, Tensor]):
    comparison = compared(pair[0], pair[0], pair[2])
    for figure in comparison.figures:
        low, high = figure.interval
        assert figure.difference == 0 and low == pytest.approx(-high) and 0.5 < high < 3
    text = describe_comparison(comparison)
    assert "classes: none of 7 has another accuracy" in text and "videos right in A alone: 0" in text


def test_the_text_is_lines_of_printable_characters(pair: tuple[Tensor, Tensor, Tensor]):
    lines = describe_comparison(compared(*pair))
    assert all(line.isprintable() for line in lines)
    assert any("right\\nthere" in line for line in lines) and any("größer" in line for line in lines)


def draw(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What two tests predict: the second finds more, and videos that are hard are so for both."""
    hard = rng.random(len(labels))
    return tuple(
        np.where(0.6 * hard + 0.4 * rng.random(len(labels)) < bound, labels, rng.integers(0, 6, len(labels)))
        for bound in (0.6, 0.7)
    )


def means(best: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean class accuracy and macro F1 of resamples (B, n), by their definitions."""
    hits, videos, guesses = (
        np.stack([counts[:, chosen & (of == k)].sum(axis=1) for k in range(6)], axis=1).astype(float)
        for chosen, of in ((best == labels, labels), (np.True_, labels), (np.True_, best))
    )
    with np.errstate(invalid="ignore"):
        return np.nanmean(hits / videos, axis=1), np.nanmean(2 * hits / (videos + guesses), axis=1)


@pytest.mark.parametrize("which", [0, 1], ids=["mean class accuracy", "macro F1"])
def test_paired_intervals_of_means_over_classes_cover_the_true_difference(which: int):
    labels = np.repeat(np.arange(6), [60, 30, 20, 10, 10, 6])
    rng, num_covered = np.random.default_rng(0), 0

    def difference(pair: tuple[np.ndarray, np.ndarray], counts: np.ndarray) -> np.ndarray:
        a, b = (means(best, labels, counts)[which] for best in pair)
        return b - a

    once = np.ones((1, len(labels)), dtype=np.int64)
    pairs = [draw(labels, rng) for _ in range(1000)]
    found = [float(difference(pair, once)[0]) for pair in pairs]
    for (a, b), value in zip(pairs, found, strict=True):
        moved = torch.from_numpy((b == labels).astype(float) - (a == labels))
        low, high = mean_over_classes_interval(value, partial(difference, (a, b)), moved)
        num_covered += low <= np.mean(found) <= high
    assert num_covered >= 920


def test_one_video_has_intervals_of_all_answers_and_none_of_average_precision():
    scores, labels = made_up(0, 1, 3, 1.0)
    lines = describe_comparison(compared(scores, scores, labels))
    assert not any("nan" in line for line in lines)
    assert sum("+0.00 [-65.33, +65.33]" in line for line in lines) == 4
    several = describe_comparison(compared(scores, scores, torch.nn.functional.one_hot(labels, 3).float()))
    assert not any("nan" in line for line in several)
    assert any(line.startswith("  mean average precision") and line.rstrip().endswith("+0.00") for line in several)
