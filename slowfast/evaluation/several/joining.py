"""What tests that become one have in common: where they were read from, and where the new one goes."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from slowfast.errors import UserError
from slowfast.evaluation.report import TestReport
from slowfast.evaluation.report_files import ScoredVideos, write_report
from slowfast.evaluation.scored_files import ARCHIVE, TABLE, load_scored, scores_file


class FinishedTest(NamedTuple):
    """A test that was read back: how it was named, its file of scores, its report, and its videos."""

    name: str
    file: Path
    report: TestReport
    videos: ScoredVideos


def load_tests(paths: Sequence[Path], out: Path) -> list[FinishedTest]:
    """Read several tests, from which one is made.

    Args:
        paths: as of ``load_scored``, at least two.
        out: an OUTPUT_DIR, where no test may be yet.

    Raises:
        UserError: if there is only one, one is named twice, is itself an ensemble, or cannot be read, or if ``out`` has
            a report.
    """
    if (out / "test" / "report.json").exists() or (out / "report.json").exists():
        raise UserError(f"--out {out}: has the report of a test, which would be lost; name another folder")
    if len(paths) < 2:
        raise UserError(f"{paths[0]}: is one test; two or more are taken together")
    tests = [FinishedTest(str(path), scores_file(path), *load_scored(path)) for path in paths]
    seen: dict[str, str] = {}
    for test in tests:
        file = os.path.realpath(test.file)
        if file in seen:
            raise UserError(f"{test.name}: is the same test as {seen[file]}; name each once")
        seen[file] = test.name
        if test.report.sources:
            raise UserError(f"{test.name}: is an ensemble; name the tests that it is of")
    return tests


def refuse_other(what: str, first: FinishedTest, other: FinishedTest, told: Callable[[FinishedTest], object]) -> None:
    """Refuse tests that differ in something that has to be the same.

    Raises:
        UserError: with what both tell.
    """
    one, another = told(first), told(other)
    if one != another:
        raise UserError(f"{other.name}: {what} is {another}, and {one} in {first.name}; they have to be the same")


def write_joined(out: Path, report: TestReport, videos: ScoredVideos, sources: Sequence[FinishedTest]) -> None:
    """Write a test into ``out``/test; its scores are an archive if those of all sources are.

    Raises:
        UserError: if it cannot be written.
    """
    is_exact = all(source.file.name == ARCHIVE for source in sources)
    write_report(out / "test", report, videos, scores="npz" if is_exact else "csv")


def notes_on(sources: Sequence[FinishedTest]) -> list[str]:
    """What the joined test lacks, or has less exactly than its sources."""
    notes = []
    if rounded := [source.name for source in sources if source.file.name != ARCHIVE]:
        notes.append(f"scores of {len(rounded)} of {len(sources)} tests were read with the six digits of {TABLE}")
    if probed := [source.name for source in sources if source.report.probes]:
        notes.append(f"temporal probes of {len(probed)} tests are left out: their scores are not kept")
    return notes
