"""Write the features of videos to a file.

uniformer features VIDEO... | FOLDER --output FILE.npz (--checkpoint FILE | --model DIR) [--layer L] [--tokens]
    [--shard I/N]
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from slowfast.cli.model_source import add_model_arguments, add_reading_arguments, load_named_model
from slowfast.cli.predict import named_videos
from slowfast.config.command_line import exit_with_error
from slowfast.errors import UserError
from slowfast.inference.feature_files import FeatureWriter
from slowfast.inference.results import Features


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, compute, write; exit status 1 if a video could not be read."""
    args = _parser(prog).parse_args(argv)
    shard_idx, num_shards = args.shard
    failed: list[Features] = []
    try:
        videos = named_videos(args.videos)
        if any(isinstance(video, bytes) for video in videos):
            raise UserError("-: features are kept by the videos' paths; name files")
        videos = list(dict.fromkeys(videos))[shard_idx::num_shards]
        classifier = load_named_model(args)
        settings = {
            "model": classifier.fingerprint,
            "layer": args.layer,
            "tokens": args.tokens,
            "views": "x".join(map(str, classifier.numbers_of_views(args.views))),
        }
        writer = FeatureWriter(_of_shard(args.output, shard_idx, num_shards), settings)
        waiting = [video for video in videos if video not in writer.done]
        if len(waiting) < len(videos):
            print(f"{len(videos) - len(waiting)} of {len(videos)} videos are done already", file=sys.stderr)
        options = {"layer": args.layer, "tokens": args.tokens, "views": args.views, "batch_size": args.batch_size}
        try:
            for features in classifier.iterate_features(waiting, **options):
                failed.append(features) if features.error else writer.add(features)
        finally:
            writer.flush()
        table = writer.finish(videos)
    except UserError as error:
        exit_with_error(error)
    print(f"{writer.target}: {len(table.paths)} videos, features {table.clips.shape[1:]} each")
    for features in failed:
        print(f"error: {features.path}: {features.error}", file=sys.stderr)
    if failed:
        print(f"error: {len(failed)} of {len(videos)} videos could not be read", file=sys.stderr)
        sys.exit(1)


def _parser(prog: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Write what the classifier reads of each view, (videos, views, channels), and its mean over the "
        "views. A stopped run goes on where it stopped.",
    )
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="video files, and folders of them or of images")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help=".npz or .safetensors")
    add_model_arguments(parser)
    add_reading_arguments(parser)
    parser.add_argument("--layer", type=int, metavar="L", help="means of the tokens of this block, counted from 0")
    parser.add_argument("--tokens", action="store_true", help="all tokens of the block (default: the last) instead")
    parser.add_argument(
        "--shard",
        type=_shard,
        default=(0, 1),
        metavar="I/N",
        help="only every N-th video, from the I-th on, counted from 0; the file's name says which",
    )
    return parser


def _shard(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not found or int(found[1]) >= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: I/N with I from 0 to N - 1, such as 0/4")
    return int(found[1]), int(found[2])


def _of_shard(path: Path, shard_idx: int, num_shards: int) -> Path:
    return path if num_shards == 1 else path.with_name(f"{path.stem}.{shard_idx}-of-{num_shards}{path.suffix}")
