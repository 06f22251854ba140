"""Name what a file, a camera or an address shows, window by window.

uniformer stream SOURCE (--checkpoint FILE [--experiment NAME] | --model DIR) [--window_s 10] [--stride_s 1] [--json]
"""

import argparse
import sys
from collections.abc import Sequence

from slowfast.cli.model_source import add_model_arguments, load_named_model
from slowfast.cli.standard_output import json_line, stop_printing
from slowfast.config.command_line import exit_with_error, positive_int
from slowfast.errors import UserError
from slowfast.inference.results import WindowPrediction
from slowfast.inference.streaming.stream import Stream


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, classify until the source ends; exit status 1 if it gave no prediction."""
    args = _parser(prog).parse_args(argv)
    source = sys.stdin.buffer if args.source == "-" else args.source
    windows = {"window_s": args.window_s, "stride_s": args.stride_s}
    try:
        classifier = load_named_model(args)
        stream = classifier.stream(source, **windows, topk=args.topk, fps=args.fps, patience_s=args.patience_s)
        tell_notes(args.source, [classifier.class_note, *stream.notes])
        _follow(stream, args)
    except UserError as error:
        exit_with_error(error)
    except BrokenPipeError:
        stop_printing()
    except OSError as error:
        exit_with_error(UserError(f"the predictions cannot be written: {error.strerror or error}"))
    _tell_summary(stream, args.source)
    sys.exit(0 if stream.num_windows and not stream.num_not_finite else 1)


def add_window_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how a stream is cut into windows."""
    default = "what the model was trained on"
    parser.add_argument(
        "--window_s", "--window", type=seconds, metavar="S", help=f"seconds of a window (default: {default})"
    )
    parser.add_argument(
        "--stride_s",
        "--stride",
        type=seconds,
        metavar="S",
        help="seconds from one window to the next (default: one new frame per window, or half a window if all "
        "of it is computed anew)",
    )
    parser.add_argument("--fps", type=seconds, metavar="N", help="frames per second, if the source does not say it")


def seconds(text: str) -> float:
    """The type of an option that is a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: numbers above 0")
    return value


def tell_notes(source: str, notes: Sequence[str]) -> None:
    """Print what there is to be said beforehand."""
    for note in filter(None, notes):
        print(f"note: {source}: {note}", file=sys.stderr)


def _follow(stream: Stream, args: argparse.Namespace) -> None:
    try:
        for window in stream:
            print(_as_json(window) if args.json else _as_line(window), flush=True)
    except KeyboardInterrupt:
        if stream.num_windows:  # else it would be told that no window was full
            _tell_summary(stream, args.source)
        raise


def _tell_summary(stream: Stream, source: str) -> None:
    for told in stream.summary():
        print(f"warning: {source}: {told}", file=sys.stderr)


def _as_line(window: WindowPrediction) -> str:
    named = ", ".join(f"{name} {100 * probability:.1f} %" for name, probability in window.classes)
    return f"{window.start_s:9.2f} s to {window.end_s:9.2f} s  {named}"


def _as_json(window: WindowPrediction) -> str:
    content = {
        "start_s": round(window.start_s, 3),
        "end_s": round(window.end_s, 3),
        "classes": [{"name": name, "probability": probability} for name, probability in window.classes],
        "num_dropped": window.num_dropped,
    }
    return json_line(content)


def _parser(prog: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog, description="Name what a file, a camera or an address shows, window by window."
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a video file, a camera (/dev/video0), an address (http, https, rtsp, rtmp, rtp, srt, tcp, udp), or - for "
        "standard input",
    )
    add_model_arguments(parser)
    add_window_arguments(parser)
    parser.add_argument(
        "--patience_s",
        type=seconds,
        default=60.0,
        metavar="S",
        help="how long a camera or a live address may be silent before it counts as ended (default: 60)",
    )
    parser.add_argument("--topk", type=positive_int, default=1, metavar="N", help="classes to name (default: 1)")
    parser.add_argument("--json", action="store_true", help="print JSON: one object per window and line")
    return parser
