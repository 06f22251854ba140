"""Draw the curves of one or several runs of training: loss, accuracy, learning rate, gradient and times.

uniformer curves LOG [LOG ...] [-o curves.png]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from slowfast.errors import UserError
from slowfast.visualization.curves import draw_curves, save_figure
from slowfast.visualization.metrics_file import load_runs


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, read the logs and write the picture."""
    parser = argparse.ArgumentParser(prog=prog, description="Draw the curves of one or several runs of training.")
    parser.add_argument(
        "logs", metavar="LOG", type=Path, nargs="+", help="OUTPUT_DIR of a training, or the metrics.jsonl in it"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("curves.png"), help="picture to write (default: curves.png)"
    )
    args = parser.parse_args(argv)
    try:
        save_figure(draw_curves(load_runs(args.logs)), args.output)
    except UserError as error:
        sys.exit(f"error: {error}")
    print(f"wrote {args.output}")
