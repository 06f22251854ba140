"""Train and test a model.

uniformer run [--init_method tcp://HOST:PORT --num_shards N --shard_id I] --cfg FILE [KEY VALUE ...]
"""

import argparse
import os
from collections.abc import Sequence

from slowfast.config import add_config_arguments, load_config_or_exit
from slowfast.config.command_line import exit_with_error
from slowfast.errors import UserError
from slowfast.inference.run_and_publish import run_and_publish
from slowfast.launch.launch import launch


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    parser = argparse.ArgumentParser(prog=prog, description="Train (TRAIN.ENABLE) and test (TEST.ENABLE) a model.")
    parser.add_argument("--init_method", default="", help="rendezvous of several nodes: tcp://HOST:PORT")
    parser.add_argument("--num_shards", type=int, metavar="N", help="nodes (default: NUM_SHARDS of the config)")
    parser.add_argument("--shard_id", type=int, default=0, help="0-based index of this node")
    # python -m torch.distributed.launch adds it, and says the same in the environment, where it is read.
    parser.add_argument("--local-rank", "--local_rank", type=int, help=argparse.SUPPRESS)
    add_config_arguments(parser)
    args = parser.parse_args(argv)
    started_as = os.environ.get("LOCAL_RANK", "0")
    if args.local_rank is not None and str(args.local_rank) != started_as:
        told = f"--local-rank is {args.local_rank}, but the environment has LOCAL_RANK {started_as}"
        exit_with_error(UserError(f"{told}; leave the option to the launcher, or start with torchrun"))
    launch(load_config_or_exit(args), run_and_publish, init_method=args.init_method, shard_id=args.shard_id)
