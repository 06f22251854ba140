"""Test a checkpoint, and dump its scores.

uniformer test CONFIG CHECKPOINT [--dump result.pkl|.npz|.csv|.json] [--views 4x3] [KEY VALUE ...]
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from slowfast.config import load_config_or_exit
from slowfast.config.command_line import add_loading_arguments, exit_with_error
from slowfast.errors import UserError
from slowfast.evaluation.score_dump import check_dump
from slowfast.inference.arguments import parse_views
from slowfast.inference.run_and_publish import test_and_show
from slowfast.launch.launch import launch


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, test, dump; exit statuses are those of ``uniformer run``."""
    args = _parser(prog).parse_intermixed_args(argv)
    dump = None if args.dump is None else Path(args.dump)
    try:
        args.cfg, args.pairs, args.opts = args.config, [], [*_own_pairs(args), *args.opts]
        if dump is not None:
            check_dump(dump)
    except UserError as error:
        exit_with_error(error)
    launch(load_config_or_exit(args), partial(test_and_show, dump=dump))


def _own_pairs(args: argparse.Namespace) -> list[str]:
    """What the arguments mean, as pairs KEY VALUE, and this machine with all of its GPUs unless a pair names others.

    Raises:
        UserError: if a pair says otherwise than an argument.
    """
    own = {"TRAIN.ENABLE": "False", "TEST.ENABLE": "True", "TEST.CHECKPOINT_FILE_PATH": args.checkpoint}
    if args.views is not None:
        clips, crops = map(str, parse_views(args.views))
        own |= {"TEST.NUM_ENSEMBLE_VIEWS": clips, "TEST.NUM_SPATIAL_CROPS": crops}
    for key, value in zip(args.opts[::2], args.opts[1::2], strict=False):
        if own.get(key, value).lower() != value.lower():
            raise UserError(f"{key} {value} contradicts this command, which sets it to {own[key]}; leave the pair out")
    own |= {"NUM_GPUS": str(torch.cuda.device_count()), "NUM_SHARDS": "1"}
    return [part for pair in own.items() for part in pair]


def _parser(prog: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Test a checkpoint on all GPUs of this machine (or as NUM_GPUS says), as uniformer run does with "
        "TRAIN.ENABLE False: the report goes to OUTPUT_DIR/test.",
    )
    add = parser.add_argument
    add("config", metavar="CONFIG", help="YAML config, such as exp/NAME/config.yaml")
    add("checkpoint", metavar="CHECKPOINT", help="a file, or an address")
    add("opts", metavar="KEY VALUE", nargs="*", help="keys to override, such as OUTPUT_DIR runs/test")
    add(
        "--dump",
        metavar="FILE",
        help="write the scores there, too: .pkl or .json (a list of dicts, as MMAction2 has it), .npz, .csv",
    )
    add("--views", metavar="4x3", help="temporal clips x spatial crops of each video (default: those of the config)")
    add_loading_arguments(parser)
    return parser
