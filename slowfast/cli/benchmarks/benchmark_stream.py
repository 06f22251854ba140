"""Measure what a stream saves by computing each frame once, how fast it is, and whether its memory grows.

uniformer benchmark stream --cfg configs/models/uniformerv2_b16.yaml [--frames 8 16 32] [--memory 20000] [KEY VALUE ...]
uniformer benchmark stream --cfg configs/models/uniformer_xxs.yaml --video FILE [--window_s 2] [--stride_s 0.04]
"""

import argparse
from collections.abc import Sequence

import torch

from slowfast.benchmarks.measure import device_name
from slowfast.benchmarks.streaming import describe_savings, measure_decisions, measure_memory, measure_saving
from slowfast.cli.stream import seconds
from slowfast.config import add_config_arguments, load_config, load_config_or_exit
from slowfast.config.command_line import exit_with_error, positive_int
from slowfast.config.load import flatten
from slowfast.errors import UserError


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog=prog, description="Measure windows of a stream beside whole ones.")
    parser.add_argument(
        "--frames", type=positive_int, nargs="+", default=[8], metavar="T", help="frames of a window (default: 8)"
    )
    parser.add_argument("--rounds", type=positive_int, default=5, metavar="N", help="windows each way (default: 5)")
    parser.add_argument(
        "--memory", type=positive_int, metavar="N", help="instead, read the memory while N frames go by"
    )
    parser.add_argument(
        "--video", metavar="FILE", help="instead, read this file as fast as it goes, one prediction per window"
    )
    parser.add_argument("--window_s", type=seconds, default=2.0, metavar="S", help="of --video (default: 2)")
    parser.add_argument(
        "--stride_s", type=seconds, default=0.04, metavar="S", help="of --video: from window to window (default: 0.04)"
    )
    add_config_arguments(parser)
    args = parser.parse_args(argv)
    cfg, device = load_config_or_exit(args), torch.device("cpu")
    print(f"{cfg.MODEL.MODEL_NAME}, crops of {cfg.DATA.TEST_CROP_SIZE} px, on {device_name(device)}", flush=True)
    try:
        if args.video:
            print(measure_decisions(cfg, args.video, window_s=args.window_s, stride_s=args.stride_s))
            return
        if args.memory:
            for num_frames, size in measure_memory(cfg, num_frames=args.memory):
                print(f"{num_frames} frames: {size / 2**20:.1f} MiB")
            return
        values = dict(flatten(cfg))
        values.pop("PLUGINS", None)
        savings = []
        for num_frames in args.frames:
            pairs = [part for pair in (values | {"DATA.NUM_FRAMES": num_frames}).items() for part in pair]
            savings.append(measure_saving(load_config(None, pairs), device, num_rounds=args.rounds))
    except UserError as error:
        exit_with_error(error)
    print("\n".join(describe_savings(savings)))
