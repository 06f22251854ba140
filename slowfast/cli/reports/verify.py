"""Print the published figure of a checkpoint beside the one that a finished test measured, and what differs.

uniformer verify RUN
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from slowfast.config.command_line import exit_with_error
from slowfast.errors import UserError
from slowfast.evaluation.published import verify
from slowfast.evaluation.report_files import load_report


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, read the report, and print one line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Print the published figure of a checkpoint beside the one that a finished test measured, and what "
        "differs. Which checkpoint it is, is told by its name alone.",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="OUTPUT_DIR of a test, or the report.json of one")
    args = parser.parse_args(argv)
    try:
        print(verify(load_report(args.run)))
    except UserError as error:
        exit_with_error(error)
