"""Console and file log, the JSON-lines metrics log, and the progress bar."""

import logging
import sys
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import simplejson
from tqdm import tqdm

from slowfast.runtime import distributed

T = TypeVar("T")

LINE_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class _ConsoleHandler(logging.Handler):
    """Writes to standard output without tearing a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stdout)
        sys.stdout.flush()


def setup_logging(output_dir: Path | None) -> None:
    """Send the log of rank 0 to the console and to ``output_dir``/log.txt; other ranks show warnings only.

    Args:
        output_dir: an existing directory; None for the console alone.
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
        handlers.append(logging.FileHandler(output_dir / "log.txt"))
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
    """

    def __init__(
        self, output_dir: Path, *, has_tensorboard: bool = False, num_epochs: int = 0, num_steps: int = 0
    ) -> None:
        self._file = None
        self._tensorboard = None
        if not distributed.is_main():
            return
        path = output_dir / "metrics.jsonl"
        if num_steps == 0:
            _put_aside(path)
        else:
            _cut_lines(path, num_epochs, num_steps)
        self._file = path.open("a")
        if has_tensorboard:
            # Imported here because it takes seconds and few runs want it.
            from torch.utils.tensorboard import SummaryWriter

            purge_step = num_steps + 1 if num_steps else None
            self._tensorboard = SummaryWriter(str(output_dir / "tensorboard"), purge_step=purge_step)

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Append one line.

        Args:
            kind: what the line is about: "train", "val" or "val_ema".
            step: optimizer updates done so far.
            values: JSON values; NaN becomes null.
        """
        if self._file is None:
            return
        self._file.write(simplejson.dumps({"kind": kind, "step": step, **values}, ignore_nan=True) + "\n")
        self._file.flush()
        if self._tensorboard is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._tensorboard.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Close the files."""
        for writer in (self._file, self._tensorboard):
            if writer is not None:
                writer.close()
        self._file = self._tensorboard = None


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
    kept, lines = [], path.read_text().splitlines(keepends=True)
    for line in lines:
        try:
            values = simplejson.loads(line)
        except ValueError:  # cut off where the process was killed
            continue
        is_begun = values["epoch"] == num_epochs + 1 and values["kind"] == "train" and values["step"] <= num_steps
        if (values["epoch"] <= num_epochs or is_begun) and line.endswith("\n"):
            kept.append(line)
    if kept != lines:
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(kept))
        temporary.replace(path)


def progress(items: Iterable[T], description: str, total: int, *, initial: int = 0) -> Iterator[T]:
    """Pass items on, with a progress bar on rank 0 if it has a terminal; ``initial`` of ``total`` are done already."""
    is_hidden = not (distributed.is_main() and sys.stderr.isatty())
    yield from tqdm(
        items, desc=description, total=total, initial=initial, disable=is_hidden, leave=False, dynamic_ncols=True
    )
