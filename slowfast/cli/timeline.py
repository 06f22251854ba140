"""Name what a long video shows, and when.

uniformer timeline VIDEO (--checkpoint FILE [--experiment NAME] | --model DIR) [--window 10] [--stride 1] [--png FILE]
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from slowfast.cli.model_source import add_model_arguments, load_named_model
from slowfast.cli.stream import add_window_arguments, tell_notes
from slowfast.config.command_line import exit_with_error
from slowfast.errors import UserError
from slowfast.inference.streaming.timeline import FORMS, Interval, key_frames, timeline, write_timeline
from slowfast.visualization.curves import check_picture_name, save_figure
from slowfast.visualization.timeline_strip import Span, draw_strip, key_times


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, classify, write; without a file to write, print CSV."""
    args = _parser(prog).parse_args(argv)
    try:
        if not os.path.isfile(args.video):
            what = "is no file" if os.path.exists(args.video) else "there is no such file"
            raise UserError(f"{args.video}: {what}; accepted: a video file (uniformer stream reads cameras, addresses)")
        _check_files(args)
        classifier = load_named_model(args)
        tell_notes(args.video, [classifier.class_note])
        intervals, told = timeline(classifier, args.video, args.window_s, args.stride_s, fps=args.fps)
        tell_notes(args.video, told)
        _write(intervals, args)
    except UserError as error:
        exit_with_error(error)


def _check_files(args: argparse.Namespace) -> None:
    """Make sure before the work that its result has a place."""
    paths = [path for path in (args.csv, args.json, args.srt, args.png) if path is not None]
    for number, path in enumerate(paths):
        if not path.parent.is_dir():
            raise UserError(f"{path}: cannot be written: there is no folder {path.parent}")
        if path.is_dir():
            raise UserError(f"{path}: cannot be written: it is a folder; name a file in it")
        if not os.access(path.parent, os.W_OK):
            raise UserError(f"{path}: cannot be written: this user may not write to {path.parent}")
        if os.path.realpath(path) == os.path.realpath(args.video):
            raise UserError(f"{path}: is the video itself; name another file")
        if os.path.realpath(path) in map(os.path.realpath, paths[:number]):
            raise UserError(f"{path}: is named for two forms; name a file for each")
    if args.png is not None:
        check_picture_name(args.png)


def _write(intervals: Sequence[Interval], args: argparse.Namespace) -> None:
    files = {form: getattr(args, form) for form in FORMS}
    if not any(files.values()) and args.png is None:
        print(FORMS["csv"](intervals), end="")
    for form, path in files.items():
        if path is not None:
            write_timeline(intervals, path, form)
    if args.png is not None:
        end_s = intervals[-1].end_s
        frames = key_frames(args.video, key_times(end_s), end_s)
        spans = [Span(each.start_s, each.end_s, each.name, each.probability) for each in intervals]
        save_figure(draw_strip(spans, frames, title=os.path.basename(args.video)), args.png)


def _parser(prog: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description="Name what a long video shows, and when.")
    parser.add_argument("video", metavar="VIDEO", help="a video file")
    add_model_arguments(parser)
    add_window_arguments(parser)
    for form, what in {"csv": "a table", "json": "a list of objects", "srt": "subtitles"}.items():
        parser.add_argument(f"--{form}", type=Path, metavar="FILE", help=f"write the intervals as {what}")
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw key frames over the intervals")
    return parser
