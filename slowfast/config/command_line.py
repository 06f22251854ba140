"""What all tools share: the arguments that name a config, and loading it or leaving with one line."""

import argparse
import sys
from typing import NoReturn

from fvcore.common.config import CfgNode

from slowfast.config.load import load_config
from slowfast.errors import UserError


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg``, ``--allow_duplicate_keys``, ``--plugins`` and the trailing pairs ``KEY VALUE``.

    Add the tool's own options to the same parser; on the command line they go before the pairs, which take all
    that follows, values with a leading minus included.
    """
    parser.add_argument("--cfg", metavar="FILE", default=None, help="YAML config; without it, the defaults")
    add_loading_arguments(parser)
    # SlowFast has a word before the pairs.
    parser.add_argument("--opts", dest="pairs", nargs=argparse.REMAINDER, default=[], help=argparse.SUPPRESS)
    parser.add_argument(
        "opts", metavar="KEY VALUE", nargs=argparse.REMAINDER, help="keys to override, such as SOLVER.BASE_LR 1e-4"
    )


def add_loading_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--allow_duplicate_keys`` and ``--plugins`` alone, for a tool that names its config in another way."""
    parser.add_argument(
        "--allow_duplicate_keys",
        action="store_true",
        help="of a key that a YAML file has twice with different values take the last one",
    )
    parser.add_argument(
        "--plugins",
        metavar="FILE.py",
        action="append",
        default=[],
        help="code of your own that registers models, losses, data sets or transforms; may be given several times",
    )


def positive_int(text: str, *, hint: str = "") -> int:
    """The type of an argparse option that counts something.

    Args:
        text: a word of the command line.
        hint: ends the message, where more is to say.

    Raises:
        argparse.ArgumentTypeError: with the word and what is accepted, unless it is a whole number from 1.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: whole numbers from 1{hint}")
    return int(text)


def whole_number(text: str) -> int:
    """The same for what may be 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: whole numbers from 0")
    return int(text)


def load_config_or_exit(args: argparse.Namespace) -> CfgNode:
    """Load the config that the arguments name.

    Args:
        args: parsed by a parser that went through ``add_config_arguments``; of a tool that has them, ``num_shards`` and
            ``num_gpus`` set NUM_SHARDS and NUM_GPUS, unless they are None.

    Returns:
        The frozen config.

    Raises:
        SystemExit: with status 2 after one line on standard error, if the config has a mistake.
    """
    pairs = args.pairs or (args.opts[1:] if args.opts[:1] == ["--"] else args.opts)
    try:
        overrides = [*_sizes(args, pairs), *pairs]
        return load_config(args.cfg, overrides, allow_duplicate_keys=args.allow_duplicate_keys, plugins=args.plugins)
    except UserError as error:
        exit_with_error(error)


def _sizes(args: argparse.Namespace, pairs: list[str]) -> list[str]:
    """NUM_SHARDS and NUM_GPUS as the options say; the pairs may say the same, and nothing else."""
    given = dict(zip(pairs[::2], pairs[1::2], strict=False))  # of a key given twice the last counts
    added: list[str] = []
    for option, key in (("num_shards", "NUM_SHARDS"), ("num_gpus", "NUM_GPUS")):
        number = getattr(args, option, None)
        if number is None:
            continue
        if given.get(key, str(number)) != str(number):
            raise UserError(f"--{option} {number} contradicts {key} {given[key]}; leave one of them out")
        added += [key, str(number)]
    return added


def exit_with_error(error: Exception) -> NoReturn:
    """Print ``error: ...`` on one line of standard error and exit with status 2."""
    print("error:", " ".join(str(error).splitlines()), file=sys.stderr)
    sys.exit(2)
