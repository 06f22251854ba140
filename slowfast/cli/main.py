"""The command ``uniformer``: which subcommand is meant. Only that one is imported.

uniformer COMMAND [...]
"""

import difflib
import errno
import importlib
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn

from slowfast import __version__
from slowfast.cli.standard_output import is_unread, stop_printing
from slowfast.config.command_line import exit_with_error
from slowfast.errors import UserError
from slowfast.runtime.distribution import DISTRIBUTION, told_other_distributions
from slowfast.runtime.interruption import Stopped, stop_signals_end_at_once, stop_signals_raised, told_stop


class Command(NamedTuple):
    """A module with ``main(argv, prog)``, and what it does, in a few words."""

    module: str
    what: str


COMMANDS = {
    "run": Command("run_net", "train and test a model"),
    "test": Command("reports.test", "test a checkpoint, and dump its scores"),
    "submit": Command("submit", "the same as a job of SLURM, or in the background of this machine"),
    "predict": Command("predict", "name what videos show"),
    "features": Command("features", "write the features of videos to a file"),
    "search": Command("search", "find the videos that are most like one"),
    "stream": Command("stream", "name what a file, a camera or an address shows, window by window"),
    "timeline": Command("timeline", "name what a long video shows, and when"),
    "publish": Command("publish", "write a model folder, which says and proves what it is"),
    "export": Command("export", "write a network as ONNX or as a program of torch.export, and try it"),
    "config": Command("show_config", "print a config as it is resolved"),
    "report": Command("reports.report", "write the page of a finished test: figures, classes, frames of mistakes"),
    "compare": Command("reports.compare", "compare two tests of the same videos: figures, classes, flipped videos"),
    "ensemble": Command("reports.ensemble", "average the scores of several tests of the same videos"),
    "merge-reports": Command("reports.merge_reports", "join the tests of parts of a list into one"),
    "verify": Command("reports.verify", "compare a finished test with the published figure of its checkpoint"),
    "curves": Command("plot_log", "draw the curves of trainings"),
    "compare-runs": Command("compare_runs", "compare the metrics and checkpoints of two trainings, bit by bit"),
    "convert": Command("convert_weights", "convert a checkpoint to the form of another code base"),
    "info": Command("model_info", "print the sizes of a model"),
    "data lists": Command("data.make_lists", "make the list files of a data set"),
    "data check": Command("data.check_videos", "read every video of the lists, and name the bad ones"),
    "data transcode": Command("data.transcode", "transcode videos so that they are read fast"),
    "data kinetics710": Command("data.kinetics710", "merge the lists of Kinetics-400, -600 and -700"),
    "data digits": Command("data.moving_digits", "make the quickstart's videos"),
    "benchmark model": Command("benchmarks.benchmark_model", "measure the speed and the memory of a model"),
    "benchmark train": Command("benchmarks.benchmark_train", "measure the throughput of training"),
    "benchmark data": Command("benchmarks.benchmark_data", "measure how long loading takes"),
    "benchmark stream": Command("benchmarks.benchmark_stream", "measure what a stream saves, and its memory"),
    "doctor": Command("doctor", "say what is installed here, and whether it works"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Hand the words after the subcommand to its module.

    Args:
        argv: words of the command line after the program's name; None takes those of this process.

    Raises:
        SystemExit: with status 2 and one line for a subcommand that there is not, and where standard output cannot be
            written; with 1 where nobody reads it any more; after Ctrl-C, SIGTERM and SIGHUP with 130, 143 and 129.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return
    if words[0] == "--version":
        print(f"{DISTRIBUTION} {__version__}")
        return
    if warning := told_other_distributions():
        print(f"warning: {warning}", file=sys.stderr)
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in COMMANDS:
            _call(COMMANDS[name].module, words[length:], f"uniformer {name}")
            return
    _refuse(words)


def _call(name: str, words: Sequence[str], prog: str) -> None:
    """Import and call a subcommand; what it prints is written before it counts as done."""
    with stop_signals_end_at_once():
        module = importlib.import_module(f"slowfast.cli.{name}")
    try:
        with stop_signals_raised():
            module.main(words, prog)
            sys.stdout.flush()
    except KeyboardInterrupt as stop:  # those that have something to save or to remove have done so
        number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
        with suppress(OSError):  # of a terminal that is closed
            print(told_stop(number), file=sys.stderr)
        sys.exit(128 + number)  # as shells have it
    except BrokenPipeError:
        if not is_unread():  # another pipe's
            raise
        stop_printing()
        sys.exit(1)
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        stop_printing()
        exit_with_error(UserError(f"the output cannot be written: {error.strerror}"))


def _overview() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:{width}}{command.what}" for name, command in COMMANDS.items()]
    head = "usage: uniformer [-h] [--version] COMMAND ...\n\nUniFormer and UniFormerV2 for video classification.\n\n"
    return head + "\n".join(["commands:", *lines, "", "uniformer COMMAND -h says what each takes."])


def _refuse(words: Sequence[str]) -> NoReturn:
    inner = [name for name in COMMANDS if name.split()[0] == words[0]]
    if inner:
        given = f"{words[0]} {words[1]}" if len(words) > 1 else words[0]
        exit_with_error(UserError(f"uniformer {given}: accepted: {', '.join(inner)}"))
    nearest = difflib.get_close_matches(words[0], {name.split()[0] for name in COMMANDS}, n=1, cutoff=0.0)[0]
    exit_with_error(
        UserError(f"uniformer {words[0]}: there is no such command; the nearest is {nearest}; uniformer -h lists all")
    )
