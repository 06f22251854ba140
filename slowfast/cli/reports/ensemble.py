"""Average the scores of several tests of the same videos, and write a report as a test does.

uniformer ensemble RUN RUN ... --out DIR [--weights 1 2 ...]

The exit status is that of a test: 0 if every video of the list has scores, 1 if not, and 2 for a mistake.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from slowfast.cli.reports.joined_report import EXIT_STATUS, print_joined
from slowfast.config.command_line import exit_with_error
from slowfast.errors import UserError
from slowfast.evaluation.several.ensemble import write_ensemble


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, average, print the summary."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Average the probabilities of several tests of the same videos.", epilog=EXIT_STATUS
    )
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="OUTPUT_DIR of a test, or its report.json")
    parser.add_argument("--weights", metavar="W", type=float, nargs="+", help="one per test, above 0 (default: alike)")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="OUTPUT_DIR of the ensemble")
    args = parser.parse_args(argv)
    try:
        report, notes = write_ensemble(args.runs, args.out, args.weights)
    except UserError as error:
        exit_with_error(error)
    for source in report.sources:
        notes.append(f"{source.path}: weight {source.weight:.4g}, top-1 {source.top1:.2f} %")
    print_joined(report, notes, args.out)
