"""Compare the metrics and checkpoints of two trainings, bit by bit: "identical", or where they begin to differ.

uniformer compare-runs RUN RUN

The exit status is 0 for identical runs, 1 for different ones, and 2 for a mistake.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from slowfast.config.command_line import exit_with_error
from slowfast.engine.run_comparison import compare_runs
from slowfast.errors import UserError


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Compare the metrics and checkpoints of two trainings, bit by bit.",
        epilog="The exit status is 0 for identical runs, 1 for different ones, and 2 for a mistake.",
    )
    parser.add_argument("runs", metavar="RUN", type=Path, nargs=2, help="OUTPUT_DIR of a training")
    args = parser.parse_args(argv)
    try:
        comparison = compare_runs(*args.runs)
    except UserError as error:
        exit_with_error(error)
    print(comparison.report())
    sys.exit(1 if comparison.differences else 0)
