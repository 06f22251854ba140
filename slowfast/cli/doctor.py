"""Say what is installed on this machine, and whether it works together; exit status 1 if something cannot.

uniformer doctor [--no-self-test]
"""

import argparse
import sys
from collections.abc import Sequence

from slowfast.benchmarks.installation import findings, self_test


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, look, and print a line per finding."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Say what is installed and whether it works. Paste this into a report of a fault."
    )
    parser.add_argument("--no-self-test", action="store_true", help="train and test nothing, which takes 10 seconds")
    args = parser.parse_args(argv)
    bad = 0
    for finding in findings():
        bad += finding.is_bad
        print(f"{finding.name:20}{'BAD: ' if finding.is_bad else ''}{finding.told}", flush=True)
    if not args.no_self_test:
        finding = self_test()
        bad += finding.is_bad
        print(f"{finding.name:20}{'BAD: ' if finding.is_bad else ''}{finding.told}")
    sys.exit(1 if bad else 0)
