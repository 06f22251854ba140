"""Console and file log, and the progress bar."""

import contextlib
import logging
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from slowfast.runtime import distributed
from slowfast.runtime.files import NAMES, writing

T = TypeVar("T")

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


def progress(items: Iterable[T], description: str, total: int, *, initial: int = 0) -> Iterator[T]:
    """Pass items on, with a progress bar on rank 0 if it has a terminal; ``initial`` of ``total`` are done already."""
    is_hidden = not (distributed.is_main() and sys.stderr.isatty())
    yield from tqdm(
        items, desc=description, total=total, initial=initial, disable=is_hidden, leave=False, dynamic_ncols=True
    )
