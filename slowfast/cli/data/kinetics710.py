"""Merge the training lists of Kinetics-400, -600 and -700 into Kinetics-710, or compare lists by YouTube id.

uniformer data kinetics710 OUT --k400 FOLDER --k600 FOLDER --k700 FOLDER [--held-out LIST ...]
uniformer data kinetics710 --check LIST LIST [LIST ...]
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from slowfast.config.command_line import exit_with_error
from slowfast.datasets.labels import load_label_list
from slowfast.datasets.preparation.kinetics710 import Source, merge, overlaps
from slowfast.datasets.preparation.parallel import worker_count
from slowfast.errors import UserError

SOURCES = ("k400", "k600", "k700")


def read_source(name: str, folder: Path, classes: str, prefix: str) -> Source:
    """A folder of lists as ``make_lists.py`` writes it."""
    val = folder / "val.csv"
    class_names = load_label_list(classes or str(folder / "classes.txt"))
    return Source(name, folder / "train.csv", val if os.path.isfile(val) else None, class_names, prefix)


def check(paths: list[Path], separator: str) -> int:
    """Print how many YouTube ids every two lists have in common; the exit status is 1 if any."""
    has_overlap = False
    for one, other, ids in overlaps(paths, separator):
        shown = ": " + ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "") if ids else ""
        print(f"{one} and {other}: {len(ids)} YouTube ids in common{shown}")
        has_overlap |= bool(ids)
    return int(has_overlap)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, do the work and print what came of it."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Merge Kinetics-400, -600 and -700, or compare lists by YouTube id."
    )
    parser.add_argument("out", metavar="OUT", nargs="?", type=Path, help="folder to write to")
    for name in SOURCES:
        parser.add_argument(f"--{name}", metavar="FOLDER", type=Path, help="with train.csv, val.csv and classes.txt")
        parser.add_argument(
            f"--{name}-classes",
            metavar="LIST",
            default="",
            help="class names in the order of its labels, a shipped list or a file (default: its classes.txt)",
        )
        parser.add_argument(f"--{name}-prefix", metavar="FOLDER", default="", help="put before the paths of its videos")
    parser.add_argument(
        "--held-out",
        metavar="LIST",
        type=Path,
        nargs="+",
        default=[],
        help="more videos that must not be trained on, such as test lists: ours, or official CSV files",
    )
    parser.add_argument(
        "--classes", metavar="LIST", default="kinetics710_uniformer", help="order of the 710 classes (%(default)s)"
    )
    parser.add_argument("--separator", default=",", help="of the lists (default: a comma)")
    parser.add_argument(
        "--workers", type=worker_count, default=0, help="processes that read lists; 0 reads in this one"
    )
    parser.add_argument(
        "--check",
        metavar="LIST",
        type=Path,
        nargs="+",
        help="only tell which YouTube ids any two of these lists have in common; exit status 1 if any",
    )
    args = parser.parse_args(argv)
    folders = {name: getattr(args, name) for name in SOURCES if getattr(args, name)}
    if args.check and len(args.check) < 2:
        parser.error("--check takes at least two lists")
    if not args.check and not (args.out and folders):
        parser.error(f"give OUT and at least one of {', '.join(f'--{name}' for name in SOURCES)}, or --check")
    try:
        if args.check:
            sys.exit(check(args.check, args.separator))
        sources = [
            read_source(name, folder, getattr(args, f"{name}_classes"), getattr(args, f"{name}_prefix"))
            for name, folder in folders.items()
        ]
        summary = merge(
            sources,
            args.out,
            held_out=args.held_out,
            classes=args.classes,
            separator=args.separator,
            num_workers=args.workers,
        )
    except UserError as error:
        exit_with_error(error)
    print("\n".join(summary.lines()))
    print(f"lists, label maps, and what was dropped (dropped.csv): {args.out}")
