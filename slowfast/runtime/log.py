"""Console and file log, the JSON-lines metrics log, and the progress bar."""

import contextlib
import logging
import sys
import threading
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import simplejson
from tqdm import tqdm

from slowfast.runtime import distributed
from slowfast.runtime.files import NAMES, system_cause, write_text, writing

T = TypeVar("T")

logger = logging.getLogger(__name__)

REMEDY = "start the same command again once it can be: training resumes from the last checkpoint"
LINE_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class _LastingHandler(logging.Handler):
    """A log that cannot be written, on a full disk or to a closed pipe, ends no run: it is said once."""

    place = "standard output"
    _is_told = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._is_told:
            self._is_told = True
            with contextlib.suppress(OSError):
                print(f"warning: {self.place}: the log cannot be written: {error.strerror or error}", file=sys.stderr)


class _ConsoleHandler(_LastingHandler):
    """Writes to standard output without tearing a progress bar; what it cannot show is escaped."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            encoding = sys.stdout.encoding or "utf-8"
            text = self.format(record).encode(encoding, "backslashreplace").decode(encoding)
            tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()
        except Exception:
            self.handleError(record)


class _FileHandler(_LastingHandler, logging.FileHandler):
    """Appends to a file, names of any bytes as they are."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, **NAMES)
        self.place = str(path)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # of lines that are still to be written to a full disk
            super().close()


def setup_logging(output_dir: Path | None) -> None:
    """Send the log of rank 0 to the console and to ``output_dir``/log.txt; other ranks show warnings only.

    Args:
        output_dir: an existing directory; None for the console alone.

    Raises:
        UserError: if the file cannot be opened.
    """
    root = logging.getLogger("slowfast")
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    root.propagate = False
    is_main = distributed.is_main()
    root.setLevel(logging.INFO if is_main else logging.WARNING)
    prefix = "" if is_main else f"[rank {distributed.rank()}] "
    handlers: list[logging.Handler] = [_ConsoleHandler()]
    if output_dir is not None and is_main:
        path = output_dir / "log.txt"
        with writing(path, "choose another OUTPUT_DIR"):
            handlers.append(_FileHandler(path))
    for handler in handlers:
        handler.setFormatter(logging.Formatter(prefix + LINE_FORMAT, datefmt="%Y-%m-%d %H:%M:%S"))
        root.addHandler(handler)


class MetricsLog:
    """One JSON object per line in ``output_dir``/metrics.jsonl, and TensorBoard if asked for; rank 0 only.

    What is there of an earlier run is archived as metrics.1.jsonl, metrics.2.jsonl, ... A run that resumes keeps its
    lines up to where it resumes, and drops those of steps that it takes again.

    Args:
        output_dir: an existing directory.
        has_tensorboard: also write TensorBoard event files to ``output_dir``/tensorboard.
        num_epochs: that the run has behind it, with their validation.
        num_steps: optimizer updates that it has behind it, of all epochs; 0 for a new run.

    Raises:
        UserError: if the file cannot be written. Of TensorBoard, which shows the same, that is a warning.
    """

    def __init__(
        self, output_dir: Path, *, has_tensorboard: bool = False, num_epochs: int = 0, num_steps: int = 0
    ) -> None:
        self._file = None
        self._tensorboard = None
        if not distributed.is_main():
            return
        self._path = path = output_dir / "metrics.jsonl"
        with writing(path, REMEDY):
            if num_steps == 0:
                _put_aside(path)
            else:
                _cut_lines(path, num_epochs, num_steps)
            self._file = path.open("a", **NAMES)
        if has_tensorboard:
            # Imported here because it takes seconds and few runs want it.
            from torch.utils.tensorboard import SummaryWriter

            purge_step = num_steps + 1 if num_steps else None
            threading.excepthook = _told_by_others
            with self._tensorboard_optional():
                self._tensorboard = SummaryWriter(str(output_dir / "tensorboard"), purge_step=purge_step)

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Append one line.

        Args:
            kind: what the line is about: "train", "val" or "val_ema".
            step: optimizer updates done so far.
            values: JSON values; NaN becomes null.

        Raises:
            UserError: if the line cannot be written; a run that resumes drops what there is of it.
        """
        if self._file is None:
            return
        with writing(self._path, REMEDY):
            self._file.write(simplejson.dumps({"kind": kind, "step": step, **values}, ignore_nan=True) + "\n")
            self._file.flush()
        with self._tensorboard_optional():
            for name, value in values.items():
                if self._tensorboard is not None and isinstance(value, int | float):
                    self._tensorboard.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Close the files."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # each line has been written, or its error told
                self._file.close()
        with self._tensorboard_optional():
            if self._tensorboard is not None:
                self._tensorboard.close()
        self._file = self._tensorboard = None

    @contextlib.contextmanager
    def _tensorboard_optional(self) -> Iterator[None]:
        """Go on without TensorBoard's files from where they cannot be written: metrics.jsonl has all of it."""
        try:
            yield
        except (OSError, UnicodeError) as error:
            self._tensorboard = None
            logger.warning("TensorBoard's files are not written from here on: %s", system_cause(error))


def _told_by_others(error: threading.ExceptHookArgs) -> None:
    """Leave out what TensorBoard's thread prints: its next writer meets the same error, and tells it."""
    is_tensorboard = type(error.thread).__module__.startswith("tensorboard.")
    if not (is_tensorboard and isinstance(error.exc_value, OSError)):
        threading.__excepthook__(error)


def _put_aside(path: Path) -> None:
    """Rename a file that another run wrote, if it is there and not empty."""
    if path.is_file() and path.stat().st_size > 0:
        number = next(i for i in count(1) if not path.with_suffix(f".{i}.jsonl").exists())
        path.rename(path.with_suffix(f".{number}.jsonl"))


def _cut_lines(path: Path, num_epochs: int, num_steps: int) -> None:
    """Keep the lines of whole epochs and of the first steps of the one after them.

    Within an epoch only the steps count: a run with another batch counts them otherwise. The file is replaced whole, or
    left alone if nothing is to go.
    """
    if not path.is_file():
        return
    kept, lines = [], path.read_text(**NAMES).splitlines(keepends=True)
    for line in lines:
        try:
            values = simplejson.loads(line)
        except ValueError:  # cut off where the process was killed
            continue
        is_begun = values["epoch"] == num_epochs + 1 and values["kind"] == "train" and values["step"] <= num_steps
        if (values["epoch"] <= num_epochs or is_begun) and line.endswith("\n"):
            kept.append(line)
    if kept != lines:
        write_text(path, "".join(kept), REMEDY)


def progress(items: Iterable[T], description: str, total: int, *, initial: int = 0) -> Iterator[T]:
    """Pass items on, with a progress bar on rank 0 if it has a terminal; ``initial`` of ``total`` are done already."""
    is_hidden = not (distributed.is_main() and sys.stderr.isatty())
    yield from tqdm(
        items, desc=description, total=total, initial=initial, disable=is_hidden, leave=False, dynamic_ncols=True
    )
