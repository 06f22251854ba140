"""What the commands print that make one test of several, and the status that they end with."""

import sys
from collections.abc import Sequence
from pathlib import Path

from slowfast.evaluation.report import TestReport

EXIT_STATUS = (
    "The exit status is that of a test: 0 if every video of the list has scores, 1 if not, and 2 for a mistake."
)


def print_joined(report: TestReport, notes: Sequence[str], out: Path) -> None:
    """Print the summary and the notes.

    Raises:
        SystemExit: with status 1 if a video has no scores.
    """
    print(report.summary())
    for note in notes:
        print(note)
    print(f"report: {out / 'test' / 'report.json'}")
    if report.failed or report.unscored:
        lacking = report.failed + report.unscored
        print(f"error: {lacking} of {report.expected} test videos have no scores", file=sys.stderr)
        sys.exit(1)
