"""Transcode videos to a shorter short side and short groups of pictures, from which single frames are read fast.

uniformer data transcode ROOT OUT [--short-side 320] [--gop 16]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from slowfast.config.command_line import exit_with_error
from slowfast.datasets.preparation.parallel import worker_count
from slowfast.datasets.preparation.reading_speed import SpeedUp, measure_speed_up
from slowfast.datasets.preparation.transcode import (
    FAILED_FILE,
    Outcome,
    Settings,
    transcode_folder,
)
from slowfast.errors import UserError
from slowfast.runtime.processes import num_cores


def summary(outcomes: list[Outcome], speed_up: SpeedUp | None) -> list[str]:
    """What was done, in sizes and times."""
    good = [outcome for outcome in outcomes if not outcome.cause]
    before, after = (sum(sizes) for sizes in ([o.source_bytes for o in good], [o.target_bytes for o in good]))
    lines = [f"{len(good)} of {len(outcomes)} videos are transcoded, {len(outcomes) - len(good)} failed"]
    if good:
        lines.append(f"size: {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after, {after / before:.2f} of it")
    if speed_up:
        lines.append(
            f"reading {speed_up.num_frames} sparse frames: {1e3 * speed_up.source_s:.1f} ms before, "
            f"{1e3 * speed_up.target_s:.1f} ms after, {speed_up.ratio:.2f} times as fast (medians over "
            f"{speed_up.num_videos} videos, one core)"
        )
    return lines


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, do the work and print what came of it."""
    defaults = Settings()
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Transcode videos to H.264 with a shorter short side and short groups of pictures.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("root", metavar="ROOT", type=Path, help="folder above the videos")
    parser.add_argument(
        "out", metavar="OUT", type=Path, help="folder of the results, which lie there as in ROOT, as .mp4"
    )
    parser.add_argument(
        "--short-side", type=int, default=defaults.short_side, help="in pixels; smaller videos keep their size"
    )
    parser.add_argument("--gop", type=int, default=defaults.gop, help="frames from one key frame to the next")
    parser.add_argument("--crf", type=int, default=defaults.crf, help="x264's quality, 0 (lossless) to 51")
    parser.add_argument("--preset", default=defaults.preset, help="x264's, ultrafast to veryslow")
    parser.add_argument("--overwrite", action="store_true", help="make results anew that are there already")
    parser.add_argument("--workers", type=worker_count, default=num_cores(), help="processes; 0 works in this one")
    parser.add_argument("--timeout-s", type=float, default=3600.0, help="longest that a video may take, in seconds")
    parser.add_argument("--measure", type=int, default=20, help="videos whose reading is timed; 0 for none")
    parser.add_argument("--num-frames", type=int, default=8, help="frames of the sparse clip that is timed")
    args = parser.parse_args(argv)
    try:
        settings = Settings(args.short_side, args.gop, args.crf, args.preset)
        outcomes = transcode_folder(
            args.root,
            args.out,
            settings,
            overwrite=args.overwrite,
            num_workers=args.workers,
            timeout_s=args.timeout_s,
        )
    except UserError as error:
        exit_with_error(error)
    failed = [outcome for outcome in outcomes if outcome.cause]
    speed_up = None
    if args.measure and len(failed) < len(outcomes):
        speed_up = measure_speed_up(args.root, args.out, outcomes, num_videos=args.measure, num_frames=args.num_frames)
    print("\n".join(summary(outcomes, speed_up)))
    if failed:
        print(f"{failed[0].source}: {failed[0].cause}")
        print(f"all failed ones: {args.out / FAILED_FILE}")
        sys.exit(1)
