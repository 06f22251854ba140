"""Console and file log, the JSON-lines metrics log, and the progress bar."""

import logging
import sys
from collections.abc import Iterable, Iterator
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
    """One JSON object a line in ``output_dir``/metrics.jsonl, and TensorBoard if asked for; rank 0 only.

    Args:
        output_dir: an existing directory.
        has_tensorboard: also write TensorBoard event files to ``output_dir``/tensorboard.
    """

    def __init__(self, output_dir: Path, *, has_tensorboard: bool = False) -> None:
        self._file = None
        self._tensorboard = None
        if not distributed.is_main():
            return
        self._file = (output_dir / "metrics.jsonl").open("a")
        if has_tensorboard:
            # Imported here because it takes seconds and few runs want it.
            from torch.utils.tensorboard import SummaryWriter

            self._tensorboard = SummaryWriter(str(output_dir / "tensorboard"))

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


def progress(items: Iterable[T], description: str, total: int) -> Iterator[T]:
    """Pass items on, with a progress bar on rank 0 if it has a terminal."""
    is_hidden = not (distributed.is_main() and sys.stderr.isatty())
    yield from tqdm(items, desc=description, total=total, disable=is_hidden, leave=False, dynamic_ncols=True)
