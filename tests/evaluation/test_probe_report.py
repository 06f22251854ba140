"""What probes tell: figures, gaps and intervals against plain arithmetic."""

import math

import numpy as np
import pytest
import torch

from slowfast.evaluation.accuracy import mean_average_precision, top_k_accuracy
from slowfast.evaluation.paired import mean_difference_interval
from slowfast.evaluation.probes.probe_report import describe_probes, gaps_in_words, report_probes

ORDERS = {"shuffled_1": [1, 0, 2], "shuffled_2": [2, 0, 1], "reversed": [2, 1, 0], "half_rate": [0, 0, 2]}


def one_hot(predictions: list[int], num_classes: int = 3) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(predictions), num_classes).float()


LABELS = torch.tensor([0, 1, 2, 0])
SCORES = one_hot([0, 1, 2, 1])  # three of four
PROBES = {
    "shuffled_1": one_hot([0, 0, 0, 0]),  # the first and the last
    "shuffled_2": one_hot([0, 0, 2, 1]),  # the first and the third
    "reversed": SCORES,
    "half_rate": one_hot([1, 2, 0, 1]),  # none
}


def test_figures_are_paired_and_those_of_permutations_are_averaged():
    report = report_probes(SCORES, PROBES, LABELS, ORDERS)
    assert (report["measure"], report["videos"], report["normal"]) == ("top1", 4, 75)
    figures = report["probes"]
    assert [*figures] == ["shuffled", "reversed", "half_rate"]
    assert {probe: (figure["value"], figure["gap"]) for probe, figure in figures.items()} == {
        "shuffled": (50, 25),
        "reversed": (75, 0),
        "half_rate": (0, 75),
    }
    low, high = mean_difference_interval(torch.tensor([0.0, 1.0, 0.5, -0.5]))
    assert figures["shuffled"]["interval"] == pytest.approx([100 * low, 100 * high])
    assert figures["shuffled"]["orders"] == [[1, 0, 2], [2, 0, 1]] and figures["reversed"]["orders"] == [[2, 1, 0]]


def test_a_table_and_a_line_for_people():
    report = report_probes(SCORES, PROBES, LABELS, ORDERS)
    lines = describe_probes(report, 4)
    assert lines[0] == (
        "temporal probes over 4 videos: top-1, and how far it is below that of the usual order, with a paired 95 % "
        "interval"
    )
    assert [line.split()[:3] for line in lines[1:]] == [
        ["usual", "order", "75.00"],
        ["shuffled", "50.00", "%"],
        ["reversed", "75.00", "%"],
        ["half", "rate", "0.00"],
    ]
    assert lines[2].endswith("  order gap") and lines[3].endswith("  reversal gap")
    low, high = report["probes"]["shuffled"]["interval"]
    assert f" 25.00 [{low:.2f}, {high:.2f}]" in lines[2]
    assert gaps_in_words(report).startswith(f", order gap 25.00 [{low:.2f}, {high:.2f}], reversal gap 0.00 [")
    assert gaps_in_words(report_probes(SCORES, {"half_rate": SCORES}, LABELS, ORDERS)) == ""


def test_videos_whose_scores_are_not_finite_with_a_probe_are_left_out_and_counted():
    odd = PROBES["reversed"].clone()
    odd[3, 0] = float("nan")
    report = report_probes(SCORES, PROBES | {"reversed": odd}, LABELS, ORDERS)
    assert (report["videos"], report["normal"], report["probes"]["shuffled"]["value"]) == (3, 100, 50)
    assert "over 3 videos (1 more have scores that are not finite with a probe): " in describe_probes(report, 4)[0]


def test_several_labels_have_mean_average_precisions():
    rng = torch.Generator().manual_seed(0)
    labels = (torch.rand(60, 4, generator=rng) < 0.4).float()
    scores = labels + torch.randn(60, 4, generator=rng)
    noise = torch.randn(2, 60, 4, generator=rng)
    probes = {"shuffled_1": noise[0], "shuffled_2": noise[1], "reversed": scores}
    report = report_probes(scores, probes, labels, ORDERS)
    shuffled = np.mean([mean_average_precision(each, labels) for each in noise])
    assert report["measure"] == "mean_average_precision"
    assert report["normal"] == pytest.approx(mean_average_precision(scores, labels))
    figure = report["probes"]["shuffled"]
    assert figure["value"] == pytest.approx(shuffled) and figure["gap"] == pytest.approx(report["normal"] - shuffled)
    low, high = figure["interval"]
    assert 0 < low < figure["gap"] < high < 100
    assert report["probes"]["reversed"]["interval"] == (0, 0)
    assert "mean average precision" in describe_probes(report, 60)[0]


def test_no_videos_tell_nothing():
    none = torch.empty(0, 3)
    for labels in (torch.empty(0, dtype=torch.int64), none):
        report = report_probes(none, {"reversed": none}, labels, ORDERS)
        assert report["videos"] == 0 and math.isnan(report["normal"])
        assert all(map(math.isnan, report["probes"]["reversed"]["interval"]))


def test_the_usual_figure_is_that_of_the_report():
    scores, labels = torch.randn(50, 5), torch.randint(5, (50,))
    report = report_probes(scores, {"reversed": torch.randn(50, 5)}, labels, ORDERS)
    assert report["normal"] == pytest.approx(top_k_accuracy(scores, labels, 1))
