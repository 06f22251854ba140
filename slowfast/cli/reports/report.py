"""Write the page of a finished test: how sure its figures are, its classes, its mistakes and their frames.

uniformer report RUN [-o report.html] [--no_frames] [--no_paths]
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from slowfast.config.command_line import exit_with_error
from slowfast.errors import UserError
from slowfast.inference.pages.report_content import write_page


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, read the report, write the page."""
    parser = argparse.ArgumentParser(prog=prog, description="Write the page of a finished test: one file, report.html.")
    parser.add_argument("run", metavar="RUN", type=Path, help="OUTPUT_DIR of a test, or the report.json of one")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="page to write (default: beside report.json)")
    parser.add_argument(
        "--no_frames", "--no-frames", action="store_true", help="show no frames, and read no videos for them"
    )
    parser.add_argument(
        "--no_paths", "--no-paths", action="store_true", help="call videos by numbers, for others to see"
    )
    parser.add_argument("--plugins", metavar="FILE.py", action="append", default=[], help="code that the run used")
    args = parser.parse_args(argv)
    try:
        options = {"has_frames": not args.no_frames, "has_paths": not args.no_paths}
        print(f"wrote {write_page(args.run, output=args.output, plugins=args.plugins, **options)}")
    except UserError as error:
        exit_with_error(error)
