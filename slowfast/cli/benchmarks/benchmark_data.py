"""Measure how long loading takes, beside decord, torchcodec and Pillow where they are installed.

uniformer benchmark data VIDEO [VIDEO ...] [--repeats 15] [--memory-clips 2000]
"""

import argparse
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

import torch

from slowfast.benchmarks.loading_speed import alternate, sparse_frames, training_sample, twelve_views, worker_memory
from slowfast.config.command_line import exit_with_error, positive_int
from slowfast.datasets.reading.source import VideoReadError

TASKS = {
    "8 sparse frames": sparse_frames,
    "4 x 3 test views": twelve_views,
    "training sample": training_sample,
}


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, measure and print a table."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Measure how long loading takes: medians of contenders that take turns in one process on one core.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("videos", metavar="VIDEO", type=Path, nargs="+", help="a video file")
    parser.add_argument("--repeats", type=positive_int, default=15, help="times that each contender is measured")
    parser.add_argument(
        "--memory-clips", type=int, default=0, help="also show a worker's memory over this many training clips"
    )
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for path in args.videos:
        try:
            print_times(path, args.repeats)
        except VideoReadError as error:
            exit_with_error(VideoReadError(f"{path}: {error}"))
    if args.memory_clips:
        print_memory(args.videos, args.memory_clips)


def print_times(path: Path, repeats: int) -> None:
    """One line per contender: milliseconds, and what share of the contender's time is ours."""
    print(f"{path.name}: medians of {repeats}\n{'':40}{'CPU ms':>10}{'wall ms':>10}{'ours / it: CPU':>18}{'wall':>8}")
    for task, contenders_of in TASKS.items():
        timings = alternate(contenders_of(path), repeats)
        ours = timings["ours"]
        for name, timing in timings.items():
            shares = f"{ours.cpu_s / timing.cpu_s:18.3f}{ours.wall_s / timing.wall_s:8.3f}" if name != "ours" else ""
            print(f"  {task + ', ' + name:38}{1e3 * timing.cpu_s:10.1f}{1e3 * timing.wall_s:10.1f}{shares}")


def print_memory(paths: Sequence[Path], num_clips: int) -> None:
    """Median memory of a worker in each tenth of the clips."""
    memory = list(worker_memory(paths, num_clips))
    tenths = [memory[i * num_clips // 10 : (i + 1) * num_clips // 10] for i in range(10)]
    medians = " ".join(f"{statistics.median(tenth):.1f}" for tenth in tenths if tenth)
    print(f"a worker's memory over {num_clips} training clips, MiB, median of each tenth: {medians}")
