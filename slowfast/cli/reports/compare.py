"""Compare two tests of the same videos: how far their figures lie apart, and whether chance could do that.

uniformer compare A B [--common] [--html FILE] [--json FILE]

The exit status is 0 for a comparison, whatever it says, and 2 for a mistake.
"""

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from slowfast.config.command_line import exit_with_error
from slowfast.errors import UserError
from slowfast.evaluation.scored_files import refuse_own_file
from slowfast.evaluation.several.comparison_text import describe_comparison
from slowfast.inference.pages.comparison_files import compare_files, write_comparison, write_comparison_page


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, read both tests, print what tells them apart."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Compare two tests of the same videos; differences are B - A.",
        epilog="The exit status is 0 for a comparison, whatever it says, and 2 for a mistake.",
    )
    takes = "OUTPUT_DIR of a test, a report.json, or a file of scores: a predictions.csv or an .npz"
    parser.add_argument("a", metavar="A", type=Path, help=takes)
    parser.add_argument("b", metavar="B", type=Path, help="the same")
    parser.add_argument("--common", action="store_true", help="leave out the videos that only one of them has")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page, with all classes and videos")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all of it as JSON")
    args = parser.parse_args(argv)
    try:
        comparison = compare_files(args.a, args.b, in_common=args.common)
        for source, output in product((args.a, args.b), filter(None, (args.html, args.json))):
            refuse_own_file(source, output)
        if args.json is not None:
            write_comparison(args.json, comparison)
        if args.html is not None:
            write_comparison_page(args.html, comparison)
    except UserError as error:
        exit_with_error(error)
    print("\n".join(describe_comparison(comparison)))
