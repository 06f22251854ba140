"""The tests of parts of a list, as the one test of the whole list that they make up."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from itertools import chain
from operator import attrgetter
from pathlib import Path

import torch

from slowfast.errors import UserError
from slowfast.evaluation.list_hash import joined_hash
from slowfast.evaluation.report import TestReport, TestRun, TestSetting, make_report
from slowfast.evaluation.report_files import ScoredVideos
from slowfast.evaluation.several.alignment import shared_classes
from slowfast.evaluation.several.joining import FinishedTest, load_tests, notes_on, refuse_other, write_joined
from slowfast.evaluation.views import Probabilities, to_probabilities

# What the parts were made with, which has to be the same.
_SAME = {"the checkpoint": "weights_sha256", "the config": "config_sha256"}
_SETTINGS = [part.name for part in fields(TestSetting) if part.name != "checkpoint"]  # of which the weights tell

_AND = " and "


def merge_reports(paths: Sequence[Path], out: Path) -> tuple[TestReport, list[str]]:
    """Join tests of parts of a list, and write what a test of the whole list writes, the parts in the order given.

    Figures and intervals are computed anew from the scores. The seconds are those of all parts together.

    Args:
        paths: OUTPUT_DIRs of the tests, or their report.json, at least two.
        out: OUTPUT_DIR of the joined one; its report goes to ``test``.

    Returns:
        The report, without the figures of temporal probes, whose scores are not kept; and what a reader should know.

    Raises:
        UserError: for tests that cannot be read, that share a video, or that differ in the checkpoint, the config, the
            views or the classes, and if the report cannot be written.
    """
    parts = load_tests(paths, out)
    _refuse_other_tests(parts)
    _refuse_overlap(parts)
    reports, videos = [part.report for part in parts], _joined([part.videos for part in parts if part.report.scored])
    setting, temperature = reports[0].setting, _temperature(parts)
    method, _, kind = setting.combined.partition(" of ")
    probabilities = to_probabilities(
        videos.scores,
        has_probabilities=kind == "probabilities",
        method=method,
        is_multi_label=videos.labels.ndim == 2,
    )
    videos = replace(videos, probabilities=probabilities.values)
    report = _report(reports, videos, probabilities, temperature)
    report = replace(report, setting=setting, run=_run([each.run for each in reports]))
    write_joined(out, report, videos, parts)
    return report, [*notes_on(parts), *_notes(reports)]


def _refuse_other_tests(parts: Sequence[FinishedTest]) -> None:
    for part in parts:
        if part.report.run is None:
            raise UserError(f"{part.name}: does not tell the hashes of its checkpoint and config; test again")
        if not re.fullmatch("[0-9a-f]{64}", part.report.run.list_sha256):
            raise UserError(f"{part.name}: run.list_sha256 is {part.report.run.list_sha256!r}, no SHA-256; test again")
    first, scored = parts[0], [part for part in parts if part.report.scored]
    if not scored:
        raise UserError(f"{first.name}: has no scored video, nor have the other parts")
    told: dict[str, Callable[[FinishedTest], object]] = {
        **{f"the SHA-256 of {what}": attrgetter(f"report.run.{name}") for what, name in _SAME.items()},
        **{f"the setting {name!r}": attrgetter(f"report.setting.{name}") for name in _SETTINGS},
    }
    for part in parts[1:]:
        for what, tell in told.items():
            refuse_other(what, first, part, tell)
    shared_classes([part.name for part in scored], [part.videos for part in scored])


def _refuse_overlap(parts: Sequence[FinishedTest]) -> None:
    """No video may be in two parts, scored or not."""
    owners: dict[str, str] = {}
    for part in parts:
        lacking = chain(part.report.failures, part.report.unscored_videos)
        own = {*part.videos.paths, *(path for path, _ in lacking)}
        if shared := [path for path in own if path in owners]:
            path = min(shared)
            raise UserError(
                f"{part.name}: {len(shared)} of its videos are in {owners[path]}, too, such as {path}; the parts of a "
                f"list have no video in common"
            )
        owners.update(dict.fromkeys(own, part.name))


def _joined(parts: Sequence[ScoredVideos]) -> ScoredVideos:
    several = any(part.labels.ndim == 2 for part in parts)
    assert all((part.labels.ndim == 2) == several for part in parts), "the same config has the same kind of labels"
    return ScoredVideos(
        [path for part in parts for path in part.paths],
        torch.cat([part.labels for part in parts]),
        torch.cat([part.scores for part in parts]),
        torch.cat([part.probabilities for part in parts]),
        parts[0].class_names,
    )


def _temperature(parts: Sequence[FinishedTest]) -> float | None:
    """The one that was fitted for all of them."""
    fitted = [part for part in parts if part.report.calibration is not None]
    for part in fitted[1:]:
        refuse_other("the fitted temperature", fitted[0], part, lambda test: test.report.calibration.temperature)
    return fitted[0].report.calibration.temperature if fitted else None


def _report(
    reports: Sequence[TestReport], videos: ScoredVideos, probabilities: Probabilities, temperature: float | None
) -> TestReport:
    def rows(name: str) -> list[tuple[str, str]]:
        return [row for report in reports for row in getattr(report, name)]

    return make_report(
        videos.scores,
        videos.labels,
        sum(report.expected for report in reports),
        rows("failures"),
        rows("truncations"),
        rows("unscored_videos"),
        class_names=videos.class_names,
        probabilities=probabilities,
        temperature=temperature,
    )


def _run(runs: Sequence[TestRun]) -> TestRun:
    """Of the whole list; where commits or versions differ, all are named."""
    seconds = sum(run.seconds for run in runs)
    return replace(
        runs[0],
        seconds=seconds,
        videos_per_s=sum(run.videos_per_s * run.seconds for run in runs) / seconds if seconds else 0.0,
        list_sha256=joined_hash(run.list_sha256 for run in runs),
        git_commit=_all_of([run.git_commit for run in runs]),
        versions={name: _all_of([run.versions.get(name) for run in runs]) for name in _names(runs)},
    )


def _names(runs: Sequence[TestRun]) -> Mapping[str, None]:
    return dict.fromkeys(name for run in runs for name in run.versions)


def _all_of(values: Sequence[str | None]) -> str | None:
    told = list(dict.fromkeys(values))
    return told[0] if len(told) == 1 else _AND.join(value or "not known" for value in told)


def _notes(reports: Sequence[TestReport]) -> list[str]:
    """What the parts were not all made with."""
    notes = []
    checkpoints = list(dict.fromkeys(report.setting.checkpoint for report in reports))
    if len(checkpoints) > 1:
        notes.append(f"the same weights have several names: {', '.join(checkpoints)}")
    run = _run([report.run for report in reports])
    odd = [f"{name} {value}" for name, value in {"commit": run.git_commit, **run.versions}.items() if _is_joined(value)]
    return [*notes, f"the parts were not all made with the same code: {', '.join(odd)}"] if odd else notes


def _is_joined(value: str | None) -> bool:
    return value is not None and _AND in value
