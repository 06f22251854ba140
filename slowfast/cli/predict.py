"""Name what videos show.

uniformer predict VIDEO... | FOLDER | - (--checkpoint FILE [--experiment NAME] | --model DIR) [--topk 5] [--views 4x3]
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from tqdm import tqdm

from slowfast.cli.model_source import add_model_arguments, add_reading_arguments, load_named_model
from slowfast.cli.standard_output import json_line, stop_printing
from slowfast.config.command_line import exit_with_error, positive_int
from slowfast.datasets.reading.container import is_address
from slowfast.errors import UserError
from slowfast.evaluation.report_files import PredictionWriter
from slowfast.inference.inputs import VideoInput, videos_in
from slowfast.inference.results import Features, Prediction


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, classify, print; exit status 1 if a video could not be read."""
    args = _parser(prog).parse_args(argv)
    try:
        videos = named_videos(args.videos)
        classifier = load_named_model(args)
        if classifier.class_note:
            print(f"note: {classifier.class_note}", file=sys.stderr)
        show = _shower(args, classifier.class_names)
        told: list[Prediction] = []
        options = {"topk": args.topk, "views": args.views, "batch_size": args.batch_size}
        for prediction in classifier.iterate_predictions(videos, **options):
            show(prediction)
            sys.stdout.flush()
            told.append(replace(prediction, scores=torch.empty(0), probabilities=torch.empty(0)))
    except UserError as error:
        exit_with_error(error)
    except BrokenPipeError:
        stop_printing()
        sys.exit(1)
    except OSError as error:
        exit_with_error(UserError(f"the predictions cannot be written: {error.strerror or error}"))
    exit_with_unread(told)


def named_videos(names: Sequence[str]) -> list[VideoInput]:
    """What the words of a command line mean: files, folders of videos or of images, and "-" for standard input.

    Raises:
        UserError: for a folder that cannot be listed, nothing on standard input, standard input twice, or an address.
    """
    videos: list[VideoInput] = []
    if names.count("-") > 1:
        raise UserError(f"-: is named {names.count('-')} times, and standard input is read once; accepted: once")
    for name in names:
        if name == "-":
            content = sys.stdin.buffer.read()
            if not content:
                raise UserError("-: standard input is empty; accepted: the bytes of a video file")
            videos.append(content)
        elif os.path.isdir(name):
            found = videos_in(name)
            videos += found.paths
            if found.left_out:
                print(f"note: {name}: {found.told_left_out()}", file=sys.stderr)
        elif is_address(name) and not os.path.exists(name):
            raise UserError(f"{name}: is an address, which only uniformer stream opens; accepted: files and folders")
        else:
            videos.append(name)
    return videos


def exit_with_unread(results: Sequence[Prediction | Features]) -> None:
    """Name what has no result, and what ends early; exit with status 1 if there is any of the first."""
    for result in results:
        if result.truncated:
            print(f"warning: {result.path}: is truncated: {result.truncated}", file=sys.stderr)
    failed = [result for result in results if result.error]
    for result in failed:
        print(f"error: {result.path}: {result.error}", file=sys.stderr)
    if failed:
        print(f"error: {len(failed)} of {len(results)} videos have no result", file=sys.stderr)
        sys.exit(1)


def _parser(prog: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description="Name what videos show, with probabilities.")
    parser.add_argument(
        "videos", nargs="+", metavar="VIDEO", help="video files, folders of them or of images; - is standard input"
    )
    add_model_arguments(parser)
    add_reading_arguments(parser)
    parser.add_argument("--topk", type=positive_int, default=5, metavar="N", help="classes to name (default: 5)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON: one object per video and line")
    form.add_argument("--csv", action="store_true", help="print the columns of a test's predictions.csv")
    return parser


def _shower(args: argparse.Namespace, class_names: Sequence[str] | None) -> Callable[[Prediction], None]:
    """What prints a prediction in the form that was asked for; in text and CSV only what has scores."""
    if args.json:
        return lambda prediction: tqdm.write(json_line(_as_json(prediction)), file=sys.stdout)
    if not args.csv:
        return _print_text
    table = PredictionWriter(sys.stdout, class_names)

    def add(prediction: Prediction) -> None:
        if not prediction.error:
            table.add(prediction.path, None, prediction.scores, prediction.probabilities)

    return add


def _print_text(prediction: Prediction) -> None:
    if not prediction.error:
        lines = [f"  {100 * probability:5.1f} %  {name}" for name, probability in prediction.classes]
        tqdm.write("\n".join([prediction.path, *lines]), file=sys.stdout)


def _as_json(prediction: Prediction) -> dict[str, object]:
    if prediction.error:
        return {"path": prediction.path, "error": prediction.error}
    classes = [{"name": name, "probability": value} for name, value in prediction.classes]
    content: dict[str, object] = {"path": prediction.path, "classes": classes}
    return content | ({"truncated": prediction.truncated} if prediction.truncated else {})
