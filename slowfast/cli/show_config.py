"""Print a config as it is resolved from the defaults, a file with its bases, and overrides.

python tools/show_config.py --cfg exp/NAME/config.yaml [--diff] [KEY VALUE ...]
"""

import argparse

from slowfast.config import add_config_arguments, get_cfg, load_config_or_exit
from slowfast.config.load import difference


def main() -> None:
    parser = argparse.ArgumentParser(description="Print a resolved config as YAML.")
    parser.add_argument("--diff", action="store_true", help="print only what differs from the defaults")
    add_config_arguments(parser)
    args = parser.parse_args()
    cfg = load_config_or_exit(args)
    print((difference(cfg, get_cfg()) if args.diff else cfg).dump(), end="")


if __name__ == "__main__":
    main()
