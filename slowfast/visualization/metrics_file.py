"""From the metrics.jsonl that a run of training writes to series of values over its steps."""

import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slowfast.config.coerce import short
from slowfast.errors import UserError

FILE_NAME = "metrics.jsonl"


@dataclass(frozen=True)
class RunMetrics:
    """The lines of one run.

    Attributes:
        name: what tells the run from others that are drawn with it.
        lines: in the order of the file; each has ``kind`` (train, val, val_ema) and ``step`` (optimizer updates done).
    """

    name: str
    lines: list[dict[str, Any]]

    def series(self, kind: str, field: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps, int64 (N,), and values, float64 (N,), of the lines of one kind that have a field; what is not a finite
        number is NaN."""
        found = [(line["step"], line[field]) for line in self.lines if line["kind"] == kind and field in line]
        values = [float("nan") if value is None else value for _, value in found]
        values = np.array(values, dtype=np.float64)
        return np.array([step for step, _ in found], dtype=np.int64), np.where(np.isfinite(values), values, np.nan)

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps of an epoch, which validations tell as they come at the end of one; None if they do not agree."""
        validations = [line for line in self.lines if line["kind"] != "train" and line.get("epoch")]
        quotients = {line["step"] / line["epoch"] for line in validations}
        if len(quotients) != 1:
            return None
        (steps,) = quotients
        return int(steps) if steps >= 1 and steps.is_integer() else None


def load_runs(paths: Sequence[Path]) -> list[RunMetrics]:
    """Read several logs, named by what tells their folders apart.

    Args:
        paths: of logs, or of the folders (``OUTPUT_DIR``) that hold them.

    Raises:
        UserError: if one is missing, empty or no log, or is named twice.
    """
    files = [find_log(path) for path in paths]
    resolved = [file.resolve() for file in files]
    for i, file in enumerate(resolved):
        if file in resolved[:i]:
            raise UserError(f"{paths[i]}: this log is given twice; name it once")
    names = distinct_names(resolved)
    return [RunMetrics(name, load_lines(file)) for name, file in zip(names, files, strict=True)]


def find_log(path: Path) -> Path:
    """The log that a path names: itself, or the one in this folder.

    Raises:
        UserError: if there is none.
    """
    if os.path.isdir(path):
        file = path / FILE_NAME
        if not os.path.isfile(file):
            raise UserError(f"{path}: this folder has no {FILE_NAME}; give the OUTPUT_DIR of a training, or its log")
        return file
    if not os.path.isfile(path):
        raise UserError(f"{path}: there is no such file or folder; give the OUTPUT_DIR of a training, or its log")
    return path


def load_lines(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a log; half a last line, of a run that is writing it, is left out.

    Raises:
        UserError: if it cannot be read, has no whole line, or has one that no training writes (file:line).
    """
    try:
        texts = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"{path}: it cannot be read: {error.strerror}") from None
    last = texts.pop()  # what follows the last line end: nothing, or a line that is not whole
    lines = [_line(text, f"{path}:{number}") for number, text in enumerate(texts, 1)]
    if last:
        try:
            lines.append(_line(last, f"{path}:{len(texts) + 1}"))
        except UserError:
            if last[:1] != b"{":
                raise
    if not lines:
        raise UserError(f"{path}:1: there is no whole line yet; a training writes one every LOG_PERIOD steps")
    return lines


def _line(text: bytes, where: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    if not isinstance(line, dict) or not isinstance(line.get("kind"), str) or not _is_count(line.get("step")):
        shown = text[:60].decode(errors="replace")
        raise UserError(f'{where}: {shown!r} is no line of {FILE_NAME}, such as {{"kind": "train", "step": 10, ...}}')
    for name, value in line.items():
        if name != "kind" and not (value is None or _is_number(value)):
            raise UserError(f"{where}: {name} is {short(value)}; accepted: numbers and null")
    return line


def _is_number(value: Any) -> bool:
    """Whether a value is a number that fits a float: JSON's whole numbers have no bound."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= sys.float_info.max)


def _is_count(value: Any) -> bool:
    return _is_number(value) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def distinct_names(files: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that differ, all of the same number of folders; ``metrics.jsonl`` is left out.

    Args:
        files: different absolute paths.
    """
    parts = [(file.parent if file.name == FILE_NAME else file).parts for file in files]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part.strip("/") for part in own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return [str(file) for file in files]
