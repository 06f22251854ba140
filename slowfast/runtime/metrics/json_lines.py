"""metrics.jsonl: the one place that always has all metrics."""

import contextlib
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import simplejson

from slowfast.runtime.files import NAMES, write_text, writing
from slowfast.runtime.metrics.writer import MetricsSource

REMEDY = "start the same command again once it can be: training resumes from the last checkpoint"


class JsonLines:
    """One JSON object per line in ``output_dir``/metrics.jsonl.

    What is there of an earlier run is archived as metrics.1.jsonl, metrics.2.jsonl, ... A run that resumes keeps its
    lines up to where it resumes, and drops those of steps that it takes again.
    """

    what = "metrics.jsonl"

    def __init__(self) -> None:
        self._path: Path | None = None
        self._file: TextIO | None = None

    def open(self, source: MetricsSource) -> None:
        """Put aside or cut what is there.

        Raises:
            UserError: if the file cannot be written.
        """
        self._path = path = source.output_dir / "metrics.jsonl"
        with writing(path, REMEDY):
            if source.num_steps == 0:
                _put_aside(path)
            else:
                _cut_lines(path, source.num_epochs, source.num_steps)
            self._file = path.open("a", **NAMES)

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Append one line; NaN becomes null.

        Raises:
            UserError: if the line cannot be written; a run that resumes drops what there is of it.
        """
        with writing(self._path, REMEDY):
            self._file.write(simplejson.dumps({"kind": kind, "step": step, **values}, ignore_nan=True) + "\n")
            self._file.flush()

    def write_classes(self, kind: str, step: int, accuracy: Mapping[str, float], confusion: np.ndarray | None) -> None:
        """Nothing: lines of hundreds of numbers are hard to read, and a test reports them."""

    def close(self, *, has_failed: bool = False) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # each line has been written, or its error told
            self._file.close()


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
