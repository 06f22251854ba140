"""Several tests of the same videos as one: the mean of their probabilities."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from slowfast.errors import UserError
from slowfast.evaluation.report import Source, TestReport, TestSetting, make_report
from slowfast.evaluation.report_files import ScoredVideos
from slowfast.evaluation.several.alignment import align
from slowfast.evaluation.several.joining import FinishedTest, load_tests, notes_on, refuse_other, write_joined
from slowfast.evaluation.views import Probabilities, to_probabilities

# What ``load_scored`` takes the scores of an ensemble for: probabilities that are averaged.
COMBINED = "sum of probabilities"


def write_ensemble(
    paths: Sequence[Path], out: Path, weights: Sequence[float] | None = None
) -> tuple[TestReport, list[str]]:
    """Average the probabilities of several tests, and write what a test writes.

    Args:
        paths: OUTPUT_DIRs of the tests, or their report.json, at least two.
        out: OUTPUT_DIR of the new one; its report goes to ``test``.
        weights: above 0, one per test; None weighs all alike.

    Returns:
        The report, and what a reader should know.

    Raises:
        UserError: for tests that cannot be read or are not of the same videos, labels and classes, for other weights,
            and if the report cannot be written.
    """
    shares = _shares(weights, len(paths))
    tests = load_tests(paths, out)
    for other in tests[1:]:
        _refuse_other_list(tests[0], other)
    aligned = align([test.name for test in tests], [test.videos for test in tests])
    first = aligned.videos[0]
    mean = mean_probabilities([videos.probabilities for videos in aligned.videos], shares)
    told = _told([test.report for test in tests], first.labels.ndim == 2)
    report = make_report(
        mean,
        first.labels,
        tests[0].report.expected,
        tests[0].report.failures,
        _united(test.report.truncations for test in tests),
        tests[0].report.unscored_videos,
        class_names=first.class_names,
        probabilities=Probabilities(mean, told),
    )
    report = replace(
        report,
        setting=_setting([test.report.setting for test in tests]),
        sources=[_source(test, share) for test, share in zip(tests, shares, strict=True)],
    )
    write_joined(out, report, ScoredVideos(first.paths, first.labels, mean, mean, first.class_names), tests)
    return report, [*_notes(tests, told), *notes_on(tests)]


def mean_probabilities(probabilities: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """The weighted mean of float32 (n, K) each: float32 (n, K), computed in float64."""
    return sum(share * each.double() for each, share in zip(probabilities, shares, strict=True)).float()


def _shares(weights: Sequence[float] | None, number: int) -> list[float]:
    """Weights that sum to 1."""
    weights = [1.0] * number if weights is None else list(weights)
    if len(weights) != number:
        raise UserError(f"--weights: has {len(weights)} weights for {number} tests; accepted: one per test, in order")
    if wrong := [weight for weight in weights if not (math.isfinite(weight) and weight > 0)]:
        raise UserError(f"--weights: {wrong[0]:g} is no weight; accepted: numbers above 0")
    parts = [weight / max(weights) for weight in weights]  # whose sum is no infinity
    return [part / sum(parts) for part in parts]


def _refuse_other_list(first: FinishedTest, other: FinishedTest) -> None:
    """The scored videos are looked at one by one; here those that have no scores."""
    refuse_other("the number of videos in the list", first, other, lambda test: test.report.expected)
    for what, rows in (("failed", "failures"), ("not finite", "unscored_videos")):
        lacking, known = ({path for path, _ in getattr(test.report, rows)} for test in (other, first))
        if odd := sorted(lacking ^ known):
            raise UserError(
                f"{other.name}: {odd[0]} has no scores ({what}) in {'it' if odd[0] in lacking else first.name} alone; "
                f"an ensemble takes tests that scored the same videos"
            )


def _told(reports: Sequence[TestReport], is_multi_label: bool) -> str:
    """What the probabilities are made of."""
    kinds = list(dict.fromkeys(_kind(report.setting.combined, is_multi_label) for report in reports))
    return f"mean over {len(reports)} tests of their probabilities: {', and of others: '.join(kinds)}"


def _kind(combined: str, is_multi_label: bool) -> str:
    method, _, kind = combined.partition(" of ")
    options = {"has_probabilities": kind == "probabilities", "method": method, "is_multi_label": is_multi_label}
    return to_probabilities(torch.empty(0, 1), **options).told


def _united(rows: Iterable[Sequence[tuple[str, str]]]) -> list[tuple[str, str]]:
    """Path and first cause of videos that several tests name."""
    united: dict[str, str] = {}
    for path, cause in (row for part in rows for row in part):
        united.setdefault(path, cause)
    return list(united.items())


def _setting(settings: Sequence[TestSetting]) -> TestSetting:
    """One for all: what they share, None for other numbers, and other words joined."""

    def joined(name: str) -> Any:
        values = list(dict.fromkeys(getattr(setting, name) for setting in settings))
        if len(values) == 1:
            return values[0]
        if all(isinstance(value, str) for value in values):
            return " + ".join(filter(None, values))
        return any(values) if all(isinstance(value, bool) for value in values) else None

    told = {part.name: joined(part.name) for part in fields(TestSetting)}
    checkpoints = ", ".join(Path(setting.checkpoint).name for setting in settings)
    return TestSetting(**{**told, "checkpoint": f"ensemble of {checkpoints}", "combined": COMBINED})


def _source(test: FinishedTest, share: float) -> Source:
    return Source(
        path=test.name,
        weight=share,
        scores_sha256=hashlib.sha256(test.file.read_bytes()).hexdigest(),
        top1=test.report.top1,
        setting=test.report.setting,
        run=test.report.run,
    )


def _notes(tests: Sequence[FinishedTest], told: str) -> list[str]:
    notes = [told]
    if fitted := [test for test in tests if test.report.calibration and test.report.calibration.temperature]:
        notes.append(f"the temperatures of {len(fitted)} tests are not applied")
    return notes
