"""Read every video of a config's lists as training would, and name those that cannot be read; exit status 1 if any.

uniformer data check --cfg configs/datasets/NAME.yaml [--output bad.csv] KEY VALUE ...
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from slowfast.config import add_config_arguments, load_config_or_exit
from slowfast.config.command_line import exit_with_error
from slowfast.datasets import build_list
from slowfast.datasets.lists.repeated_videos import describe_repeats
from slowfast.datasets.preparation.check_videos import find_bad_videos
from slowfast.datasets.preparation.parallel import worker_count
from slowfast.errors import UserError
from slowfast.runtime.processes import num_cores

SPLITS = ("train", "val", "test")


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, do the work and print what came of it."""
    parser = argparse.ArgumentParser(prog=prog, description="Read every video of the lists of a config.")
    parser.add_argument("--output", type=Path, default=Path("bad_videos.csv"), help="CSV file of the bad ones")
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=SPLITS, help="which lists (default: all)")
    parser.add_argument(
        "--num-frames",
        type=int,
        default=0,
        help="read only so many frames, spread over each video: faster, and blind to damage between them (0: all)",
    )
    parser.add_argument("--workers", type=worker_count, default=num_cores(), help="processes; 0 works in this one")
    parser.add_argument("--timeout-s", type=float, default=600.0, help="longest that a video may take, in seconds")
    add_config_arguments(parser)
    args = parser.parse_args(argv)
    cfg = load_config_or_exit(args)
    try:
        lists = {split: build_list(cfg, split) for split in args.splits}
        bad = find_bad_videos(
            {split: (videos.records, videos.open_source) for split, videos in lists.items()},
            output=args.output,
            num_frames=args.num_frames,
            num_workers=args.workers,
            timeout_s=args.timeout_s,
        )
    except UserError as error:
        exit_with_error(error)
    for line in describe_repeats({split: videos.records for split, videos in lists.items()}):
        print(line)
    for split, videos in lists.items():
        print(f"{split}: {len(videos)} videos, {sum(video.split == split for video in bad)} of them bad")
    for video in bad[:10]:
        print(f"{video.path}: {video.cause}")
    if bad:
        print(f"all {len(bad)} bad ones: {args.output}")
        sys.exit(1)
