"""Compare the metrics and checkpoints of two trainings, bit by bit: "identical", or where they begin to differ.

python tools/compare_runs.py RUN RUN

The exit status is 0 for identical runs, 1 for different ones, and 2 for a mistake.
"""

import argparse
import sys
from pathlib import Path

from slowfast.config.command_line import exit_with_error
from slowfast.engine.run_comparison import compare_runs
from slowfast.errors import UserError


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Compare the metrics and checkpoints of two trainings, bit by bit.",
        epilog="The exit status is 0 for identical runs, 1 for different ones, and 2 for a mistake.",
    )
    parser.add_argument("runs", metavar="RUN", type=Path, nargs=2, help="OUTPUT_DIR of a training")
    args = parser.parse_args()
    try:
        comparison = compare_runs(*args.runs)
    except UserError as error:
        exit_with_error(error)
    print(comparison.report())
    sys.exit(1 if comparison.differences else 0)


if __name__ == "__main__":
    main()
