"""Write the features of videos to a file.

uniformer features VIDEO... | FOLDER --output FILE.npz (--checkpoint FILE | --model DIR) [--layer L] [--tokens]
    [--shard I/N | --jobs N --partition P]
"""

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from slowfast.cli.model_source import (
    add_model_arguments,
    add_reading_arguments,
    load_named_model,
)
from slowfast.cli.predict import exit_with_unread, named_videos
from slowfast.cli.submit import add_submission_arguments, submission_options
from slowfast.config.command_line import exit_with_error, positive_int, whole_number
from slowfast.errors import UserError
from slowfast.inference.feature_files import FeatureWriter
from slowfast.inference.results import Features
from slowfast.inference.settings import feature_settings_of
from slowfast.launch.submission import JobSize, SubmittedCommand, submit_array


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, compute, write; exit status 1 if a video has no features."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = _parser(prog).parse_args(words)
    if args.jobs is None:
        _compute(args)
        return
    try:
        _submit(words, args)
    except UserError as error:
        exit_with_error(error)


def compute_shard(words: Sequence[str]) -> None:
    """What a job of ``--jobs`` does; the words end in its ``--shard``."""
    _compute(_parser(None).parse_args(words))


def _compute(args: argparse.Namespace) -> None:
    told: list[Features] = []
    try:
        videos = _own_share(args)
        classifier = load_named_model(args)
        options = {"layer": args.layer, "tokens": args.tokens, "views": args.views}
        views = "x".join(map(str, classifier.numbers_of_views(args.views)))
        settings = {"model": classifier.fingerprint} | options | {"views": views, "precision": args.precision}
        settings |= feature_settings_of(classifier.cfg)
        with FeatureWriter(_of_shard(args.output, *args.shard), settings) as writer:
            waiting = [video for video in videos if video not in writer.done]
            if len(waiting) < len(videos):
                print(f"{len(videos) - len(waiting)} of {len(videos)} videos are done already", file=sys.stderr)
            for features in classifier.iterate_features(waiting, batch_size=args.batch_size, **options):
                if not features.error:
                    writer.add(features)
                told.append(replace(features, clips=torch.empty(0)))
            table = writer.finish(videos)
    except UserError as error:
        exit_with_error(error)
    if writer.num_left_out:
        told = f"{writer.num_left_out} videos that an earlier run computed are not among those named"
        print(f"note: {writer.target}: left out: {told}", file=sys.stderr)
    print(f"{writer.target}: {len(table.paths)} videos, features {table.clips.shape[1:]} each")
    exit_with_unread(told)


def _own_share(args: argparse.Namespace) -> list[str]:
    """The videos of this shard, each once."""
    videos = named_videos(args.videos)
    if any(isinstance(video, bytes) for video in videos):
        raise UserError("-: features are kept by the videos' paths; name files")
    shard_idx, num_shards = args.shard
    share = list(dict.fromkeys(videos))[shard_idx::num_shards]
    if not share:
        raise UserError(f"--shard {shard_idx}/{num_shards} has none of the {len(videos)} videos; name fewer shards")
    return share


def _submit(words: Sequence[str], args: argparse.Namespace) -> None:
    """Submit one job for each shard, and say how to follow and cancel them."""
    if args.shard != (0, 1):
        raise UserError("--jobs makes the shards itself; leave out --shard")
    folder = Path(args.job_dir) if args.job_dir else args.output.with_name("submitit")
    commands = [SubmittedCommand(compute_shard, (*words, "--shard", f"{idx}/{args.jobs}")) for idx in range(args.jobs)]
    size = JobSize(gpus_per_node=args.gpus, cpus_per_task=args.workers + 1)
    jobs = submit_array(commands, folder, submission_options(args), size)
    for idx, job in enumerate(jobs):
        paths = job.task(0).paths
        print(f"job {job.job_id}: {_of_shard(args.output, idx, args.jobs)}; log {paths.stdout}, errors {paths.stderr}")
    stop = "kill" if args.cluster == "local" else "scancel"
    print(f"cancel: {shlex.join([stop, *dict.fromkeys(job.job_id.split('_')[0] for job in jobs)])}", flush=True)


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
    parser.add_argument(
        "--jobs", type=positive_int, metavar="N", help="submit N jobs, one for each of N shards, in place of computing"
    )
    parser.add_argument(
        "--gpus", type=whole_number, default=0, metavar="N", help="of --jobs: GPUs of each (default: 0)"
    )
    add_submission_arguments(parser.add_argument_group("of --jobs"))
    return parser


def _shard(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not found or int(found[1]) >= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: I/N with I from 0 to N - 1, such as 0/4")
    return int(found[1]), int(found[2])


def _of_shard(path: Path, shard_idx: int, num_shards: int) -> Path:
    return path if num_shards == 1 else path.with_name(f"{path.stem}.{shard_idx}-of-{num_shards}{path.suffix}")
