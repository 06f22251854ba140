"""Print a config as it is resolved from the defaults, a file with its bases, and overrides.

uniformer config --cfg exp/NAME/config.yaml [--diff] [KEY VALUE ...]
"""

import argparse
from collections.abc import Sequence

from slowfast.config import add_config_arguments, get_cfg, load_config_or_exit
from slowfast.config.load import difference


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    parser = argparse.ArgumentParser(prog=prog, description="Print a resolved config as YAML.")
    parser.add_argument("--diff", action="store_true", help="print only what differs from the defaults")
    add_config_arguments(parser)
    args = parser.parse_args(argv)
    cfg = load_config_or_exit(args)
    print((difference(cfg, get_cfg()) if args.diff else cfg).dump(), end="")
