"""Measure the throughput of training on this machine: loading and computing together, and each by itself.

uniformer benchmark train [--steps N] [--warmup N] [--processes N ...] --cfg exp/NAME/config.yaml [KEY VALUE ...]
"""

import argparse
from collections.abc import Sequence
from functools import partial

from slowfast.benchmarks.training_report import describe_training
from slowfast.benchmarks.training_speed import benchmark_training
from slowfast.config import add_config_arguments, load_config_or_exit
from slowfast.config.command_line import exit_with_error, positive_int
from slowfast.errors import UserError


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Measure the throughput of training with random weights: with real loading, with one batch that "
        "stays on the device, and of loading alone. Nothing is written to OUTPUT_DIR.",
    )
    parser.add_argument(
        "--steps", type=positive_int, default=40, metavar="N", help="measured of each part (default 40)"
    )
    parser.add_argument("--warmup", type=positive_int, default=5, metavar="N", help="steps before them (default 5)")
    parser.add_argument(
        "--processes",
        # With the hint, as it takes KEY VALUE for numbers, too.
        type=partial(positive_int, hint=", followed by another option"),
        nargs="+",
        metavar="N",
        help="numbers of processes to measure in turn, on GPUs or with NUM_GPUS 0 on the CPU, TRAIN.BATCH_SIZE staying "
        "that of the node (default: NUM_GPUS, at least 1)",
    )
    add_config_arguments(parser)
    args = parser.parse_args(argv)
    cfg = load_config_or_exit(args)
    process_counts = sorted(set(args.processes or [max(cfg.NUM_GPUS, 1)]))
    try:
        measurements = benchmark_training(cfg, process_counts, num_steps=args.steps, num_warmup=args.warmup)
    except UserError as error:
        exit_with_error(error)
    print("\n".join(["", *describe_training(cfg, measurements)]))
