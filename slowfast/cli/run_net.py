"""Train and test a model.

uniformer run [--init_method tcp://HOST:PORT --num_shards N --shard_id I] --cfg FILE [KEY VALUE ...]
"""

import argparse
from collections.abc import Sequence

from slowfast.config import add_config_arguments, load_config_or_exit
from slowfast.engine.run import run
from slowfast.launch.launch import launch


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    parser = argparse.ArgumentParser(prog=prog, description="Train (TRAIN.ENABLE) and test (TEST.ENABLE) a model.")
    parser.add_argument("--init_method", default="", help="rendezvous of several nodes: tcp://HOST:PORT")
    parser.add_argument("--num_shards", type=int, metavar="N", help="nodes (default: NUM_SHARDS of the config)")
    parser.add_argument("--shard_id", type=int, default=0, help="0-based index of this node")
    add_config_arguments(parser)
    args = parser.parse_args(argv)
    launch(load_config_or_exit(args), run, init_method=args.init_method, shard_id=args.shard_id)
