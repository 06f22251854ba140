"""Join the tests of parts of a list into the one test of the whole list.

uniformer merge-reports PART PART ... --out DIR

The exit status is that of a test: 0 if every video of the list has scores, 1 if not, and 2 for a mistake.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from slowfast.cli.reports.joined_report import EXIT_STATUS, print_joined
from slowfast.config.command_line import exit_with_error
from slowfast.errors import UserError
from slowfast.evaluation.several.merged_report import merge_reports


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, join, print the summary."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Join the tests of parts of a list, in the order given.", epilog=EXIT_STATUS
    )
    parser.add_argument("parts", metavar="PART", type=Path, nargs="+", help="OUTPUT_DIR of a test, or its report.json")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="OUTPUT_DIR of the joined test")
    args = parser.parse_args(argv)
    try:
        report, notes = merge_reports(args.parts, args.out)
    except UserError as error:
        exit_with_error(error)
    print_joined(report, notes, args.out)
