"""Name what videos show.

uniformer predict VIDEO... | FOLDER | - (--checkpoint FILE [--experiment NAME] | --model DIR) [--topk 5] [--views 4x3]
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence

from slowfast.cli.model_source import add_model_arguments, add_reading_arguments, load_named_model
from slowfast.config.command_line import exit_with_error, positive_int
from slowfast.errors import UserError
from slowfast.evaluation.report import write_predictions
from slowfast.inference.classifier import VideoClassifier
from slowfast.inference.inputs import VideoInput, videos_in
from slowfast.inference.results import Prediction


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, classify, print; exit status 1 if a video could not be read."""
    args = _parser(prog).parse_args(argv)
    try:
        videos = named_videos(args.videos)
        classifier = load_named_model(args)
        if classifier.class_note:
            print(f"note: {classifier.class_note}", file=sys.stderr)
        predictions = classifier.predict(videos, topk=args.topk, views=args.views, batch_size=args.batch_size)
        _print(predictions, classifier, args)
    except UserError as error:
        exit_with_error(error)
    except OSError as error:
        exit_with_error(UserError(f"the predictions cannot be written: {error.strerror or error}"))
    tell_unread(predictions)


def named_videos(names: Sequence[str]) -> list[VideoInput]:
    """What the words of a command line mean: files, folders of videos or of images, and "-" for standard input.

    Raises:
        UserError: for a folder without videos, or nothing on standard input.
    """
    videos: list[VideoInput] = []
    for name in names:
        if name == "-":
            content = sys.stdin.buffer.read()
            if not content:
                raise UserError("-: standard input is empty; accepted: the bytes of a video file")
            videos.append(content)
        else:
            videos += videos_in(name) if os.path.isdir(name) else [name]
    return videos


def tell_unread(results: Sequence[Prediction]) -> None:
    """Name what could not be read, and what ends early; exit with status 1 if there is any of the first.

    Args:
        results: with ``path``, ``error`` and ``truncated``.
    """
    for result in results:
        if result.truncated:
            print(f"warning: {result.path}: is truncated: {result.truncated}", file=sys.stderr)
    failed = [result for result in results if result.error]
    for result in failed:
        print(f"error: {result.path}: {result.error}", file=sys.stderr)
    if failed:
        print(f"error: {len(failed)} of {len(results)} videos could not be read", file=sys.stderr)
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


def _print(predictions: Sequence[Prediction], classifier: VideoClassifier, args: argparse.Namespace) -> None:
    good = [prediction for prediction in predictions if not prediction.error]
    if args.csv:
        write_predictions(sys.stdout, [each.path for each in good], None, [each.scores for each in good])
    elif args.json:
        for each in predictions:
            print(json.dumps(_as_json(each), ensure_ascii=False))
    else:
        for each in good:
            print(each.path)
            for name, probability in each.classes:
                print(f"  {100 * probability:5.1f} %  {name}")
    sys.stdout.flush()


def _as_json(prediction: Prediction) -> dict[str, object]:
    if prediction.error:
        return {"path": prediction.path, "error": prediction.error}
    classes = [{"name": name, "probability": value} for name, value in prediction.classes]
    content: dict[str, object] = {"path": prediction.path, "classes": classes}
    return content | ({"truncated": prediction.truncated} if prediction.truncated else {})
