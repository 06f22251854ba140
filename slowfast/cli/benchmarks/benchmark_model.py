"""Measure the speed and the memory of a model on this machine.

uniformer benchmark model --cfg exp/NAME/config.yaml --batch N [--compile] [--against_plain] [KEY VALUE ...]
"""

import argparse
from collections.abc import Sequence

import torch

from slowfast.benchmarks.measure import device_name
from slowfast.benchmarks.model_speed import benchmark, describe_measurements
from slowfast.config import add_config_arguments, load_config_or_exit
from slowfast.config.command_line import exit_with_error, positive_int
from slowfast.errors import UserError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog=prog, description="Measure the forward and the forward + backward of a model with random weights."
    )
    parser.add_argument("--batch", type=positive_int, default=1, metavar="N", help="clips per call (default 1)")
    parser.add_argument("--rounds", type=positive_int, default=5, metavar="N", help="timed calls of each (default 5)")
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=default, help="(default: a GPU, or cpu)")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="bfloat16 is by autocast (default float32)")
    parser.add_argument("--compile", action="store_true", help="time torch.compile, too")
    parser.add_argument("--against_plain", action="store_true", help="time the plain formulation, too")
    add_config_arguments(parser)
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no GPU; use --device cpu")
    cfg, device = load_config_or_exit(args), torch.device(args.device)
    clip = f"{cfg.DATA.NUM_FRAMES} frames, crops of {cfg.DATA.TEST_CROP_SIZE} px (training {cfg.DATA.TRAIN_CROP_SIZE})"
    print(f"{cfg.MODEL.MODEL_NAME}, {clip}, batch {args.batch}, {args.dtype}, on {device_name(device)}", flush=True)
    try:
        measurements = benchmark(
            cfg,
            device,
            batch_size=args.batch,
            num_rounds=args.rounds,
            dtype=DTYPES[args.dtype],
            has_compiled=args.compile,
            against_plain=args.against_plain,
        )
    except UserError as error:
        exit_with_error(error)
    print("\n".join(describe_measurements(measurements)))
