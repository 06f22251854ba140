"""What temporal probes tell of a model: its accuracy with each, and how far it falls short of the usual one."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypedDict

import numpy as np
import torch
from torch import Tensor

from slowfast.evaluation.accuracy import mean_average_precision, resampled_mean_average_precision, top_k_correct
from slowfast.evaluation.paired import mean_difference_interval, resampled_interval

MEASURES = {"top1": "top-1", "mean_average_precision": "mean average precision"}
# Gaps that have names.
GAPS = {"shuffled": "order gap", "reversed": "reversal gap"}


class ProbeFigure(TypedDict):
    """One probe; see ``report_probes``."""

    value: float
    gap: float
    interval: tuple[float, float]
    orders: list[list[int]]


class ProbeReport(TypedDict):
    """All probes of a test; see ``report_probes``."""

    measure: Literal["top1", "mean_average_precision"]
    videos: int
    normal: float
    probes: dict[str, ProbeFigure]


def report_probes(
    scores: Tensor, probes: Mapping[str, Tensor], labels: Tensor, orders: Mapping[str, Sequence[int]]
) -> ProbeReport:
    """Compare probes with the usual clips, video by video.

    The figure of several permutations is the mean of their figures, not that of their mean scores: a mean of scores is
    right more often than any of them.

    Args:
        scores: (n, K) of the usual clips, finite.
        probes: name to scores (n, K); names that differ in a number at their end are permutations of one probe.
        labels: int64 (n,), or (n, K) above 0 for the classes that a video shows.
        orders: name to the order of the frames.

    Returns:
        JSON values: ``measure`` (top1, or mean_average_precision for several labels); ``videos``, which have finite
        scores with every probe; ``normal``, percent; and for each of ``probes`` its ``value`` in percent, its ``gap``
        (normal - value) in percentage points with a paired 95 % ``interval``, and the ``orders`` of frames. NaN where
        there are no videos.
    """
    is_finite = torch.stack([each.isfinite().all(dim=1) for each in (scores, *probes.values())]).all(dim=0)
    scores, labels = scores[is_finite], labels[is_finite]
    probes = {name: each[is_finite] for name, each in probes.items()}
    is_multi_label = labels.ndim == 2
    compare = _compare_precisions if is_multi_label else _compare_answers
    figures: dict[str, ProbeFigure] = {}
    normal = math.nan
    for probe, names in _permutations_of(probes).items():
        normal, value, interval = compare(scores, [probes[name] for name in names], labels)
        figures[probe] = {
            "value": value,
            "gap": normal - value,
            "interval": interval,
            "orders": [list(orders[name]) for name in names],
        }
    measure = "mean_average_precision" if is_multi_label else "top1"
    return {"measure": measure, "videos": len(labels), "normal": normal, "probes": figures}


def _permutations_of(names: Iterator[str] | Mapping[str, Any]) -> dict[str, list[str]]:
    """Probe to its names: shuffled to shuffled_1, shuffled_2, ..."""
    gathered: dict[str, list[str]] = {}
    for name in names:
        gathered.setdefault(re.sub(r"_\d+$", "", name), []).append(name)
    return gathered


def _compare_answers(
    scores: Tensor, probed: Sequence[Tensor], labels: Tensor
) -> tuple[float, float, tuple[float, float]]:
    """Top-1 in percent of the usual clips and of a probe, and the interval of their difference."""
    if len(labels) == 0:
        return math.nan, math.nan, (math.nan, math.nan)
    usual = top_k_correct(scores, labels, 1).double()
    others = torch.stack([top_k_correct(each, labels, 1).double() for each in probed]).mean(dim=0)
    low, high = mean_difference_interval(usual - others)
    return 100.0 * usual.mean().item(), 100.0 * others.mean().item(), (100.0 * low, 100.0 * high)


def _compare_precisions(
    scores: Tensor, probed: Sequence[Tensor], labels: Tensor
) -> tuple[float, float, tuple[float, float]]:
    """Mean average precision in percent of the usual clips and of a probe, and the interval of their difference."""
    normal = mean_average_precision(scores, labels)
    value = float(np.mean([mean_average_precision(each, labels) for each in probed]))

    def differences(counts: np.ndarray) -> np.ndarray:
        precisions = partial(resampled_mean_average_precision, labels=labels, counts=counts)
        return precisions(scores) - np.mean([precisions(each) for each in probed], axis=0)

    return normal, value, resampled_interval(normal - value, differences, len(labels))


def describe_probes(report: ProbeReport, num_scored: int) -> list[str]:
    """A small table for the log.

    Args:
        report: of ``report_probes``.
        num_scored: videos of the test; where the probes have fewer, the table says so.
    """
    lacking = num_scored - report["videos"]
    odd = f" ({lacking} more have scores that are not finite with a probe)" if lacking else ""
    measure = MEASURES[report["measure"]]
    lines = [
        f"temporal probes over {report['videos']} videos{odd}: {measure}, and how far it is below that of the usual "
        f"order, with a paired 95 % interval",
        f"  {'usual order':15} {report['normal']:6.2f} %",
    ]
    for probe, figure in report["probes"].items():
        low, high = figure["interval"]
        told = f"  {probe.replace('_', ' '):15} {figure['value']:6.2f} %  {figure['gap']:6.2f} [{low:.2f}, {high:.2f}]"
        lines.append(f"{told}  {GAPS[probe]}" if probe in GAPS else told)
    return lines


def gaps_in_words(report: ProbeReport) -> str:
    """The gaps that have names, for a line: ", order gap 12.30 [10.10, 14.50], ..."; "" if none was measured."""
    told = ""
    for probe, name in GAPS.items():
        if probe in report["probes"]:
            figure = report["probes"][probe]
            low, high = figure["interval"]
            told += f", {name} {figure['gap']:.2f} [{low:.2f}, {high:.2f}]"
    return told
