"""Make the moving-digits data set: small H.264 videos whose class is the motion (or the digit)."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from slowfast.datasets.preparation.moving_digits import CLASSES, DEFAULT_NUM_VIDEOS, write_moving_digits
from slowfast.errors import UserError


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, write the data set and print what it holds."""
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("root", type=Path, help="folder to write to")
    parser.add_argument("--variant", choices=tuple(CLASSES), default="motion", help="what the class is")
    parser.add_argument("--num-train", type=int, default=DEFAULT_NUM_VIDEOS["train"], help="training videos")
    parser.add_argument("--num-val", type=int, default=DEFAULT_NUM_VIDEOS["val"], help="validation videos")
    parser.add_argument("--num-test", type=int, default=DEFAULT_NUM_VIDEOS["test"], help="test videos")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds give equal files")
    parser.add_argument("--workers", type=int, default=1, help="processes; the files do not depend on it")
    parser.add_argument("--overwrite", action="store_true", help="replace a set that the folder already holds")
    args = parser.parse_args(argv)

    start_s = time.perf_counter()
    try:
        root = write_moving_digits(
            args.root,
            variant=args.variant,
            num_train=args.num_train,
            num_val=args.num_val,
            num_test=args.num_test,
            seed=args.seed,
            num_workers=args.workers,
            overwrite=args.overwrite,
        )
    except UserError as error:
        parser.error(str(error))
    duration_s = time.perf_counter() - start_s
    counts = f"{args.num_train} train, {args.num_val} val and {args.num_test} test videos"
    print(f"{root}: {counts} of {len(CLASSES[args.variant])} classes ({args.variant}), ready after {duration_s:.1f} s")
