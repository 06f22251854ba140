"""The rows of a list in a few arrays: a million of them take about 70 MB, which the processes of a run share."""

from bisect import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import overload

import numpy as np

from slowfast.config.coerce import short
from slowfast.datasets.lists.columns import Columns
from slowfast.datasets.lists.shared_arrays import SharedArrays
from slowfast.datasets.records import VideoRecord
from slowfast.errors import UserError

_PATHS_PER_BLOCK = 2**14
_PATH_END = "\0"  # which no path has
_TYPES = {
    "paths": np.uint8,
    "path_ends": np.int64,
    "labels": np.int64,
    "label_ends": np.int64,
    "lines": np.int32,
    "num_frames": np.int32,
    "spans": np.float64,
}


class Records(Sequence[VideoRecord]):
    """Records that are made when they are asked for; equal to any sequence of equal ones."""

    __hash__ = None

    @overload
    def __getitem__(self, idx: int) -> VideoRecord: ...

    @overload
    def __getitem__(self, idx: slice) -> list[VideoRecord]: ...

    def __getitem__(self, idx: int | slice) -> VideoRecord | list[VideoRecord]:
        chosen = range(len(self))[idx]
        return [self._record(row) for row in chosen] if isinstance(chosen, range) else self._record(chosen)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other, strict=True))

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3])) + (", ..." if len(self) > 3 else "")
        return f"<{len(self)} records: {shown}>"

    def _record(self, row: int) -> VideoRecord:
        raise NotImplementedError


class RecordTable(Records):
    """The rows of one list.

    Attributes:
        source: the list file, or the folder that stands for one.
        prefix: folder that relative paths start from (DATA.PATH_PREFIX).
        arrays: ``paths``, each with a NUL at its end; ``path_ends`` (N,), of these; ``labels``, where rows have several
            with ``label_ends`` (N,); ``lines`` (N,), counted from 1, if there is a file; ``num_frames`` (N,) and
            ``spans`` (N, 3) where the list has them.
    """

    def __init__(self, arrays: SharedArrays, *, source: Path, prefix: str) -> None:
        self.arrays = arrays
        self.source = source
        self.prefix = prefix

    def __len__(self) -> int:
        return len(self.arrays["path_ends"])

    @property
    def is_multi_label(self) -> bool:
        """Whether the labels of a row are a tuple."""
        return "label_ends" in self.arrays

    @property
    def labels(self) -> np.ndarray:
        """int64: of all rows, one after the other."""
        return self.arrays["labels"]

    def row_of_label(self, label_idx: int) -> int:
        """The row that an element of ``labels`` belongs to."""
        if not self.is_multi_label:
            return label_idx
        return int(np.searchsorted(self.arrays["label_ends"], label_idx, side="right"))

    def where(self, row: int) -> str:
        """file:line of a row; the file alone where it has no lines."""
        return f"{self.source}:{self.arrays['lines'][row]}" if "lines" in self.arrays else str(self.source)

    def path_blocks(self) -> Iterator[list[str]]:
        """The paths as the list has them, without the prefix, some thousands at a time."""
        paths, ends = self.arrays["paths"], self.arrays["path_ends"]
        start = 0
        for end in (*ends[_PATHS_PER_BLOCK - 1 :: _PATHS_PER_BLOCK].tolist(), int(ends[-1])):
            if end > start:
                yield _decoded(paths[start : end - 1]).split(_PATH_END)
            start = end

    def _record(self, row: int) -> VideoRecord:
        arrays, ends = self.arrays, self.arrays["path_ends"]
        start = ends[row - 1] if row else 0
        path = _decoded(arrays["paths"][start : ends[row] - 1])
        return VideoRecord(
            str(Path(self.prefix, path)),
            self._label(row),
            int(arrays["num_frames"][row]) if "num_frames" in arrays else None,
            *(arrays["spans"][row].tolist() if "spans" in arrays else ()),
        )

    def _label(self, row: int) -> int | tuple[int, ...]:
        if not self.is_multi_label:
            return int(self.labels[row])
        ends = self.arrays["label_ends"]
        return tuple(self.labels[ends[row - 1] if row else 0 : ends[row]].tolist())


def _decoded(path: np.ndarray) -> str:
    return path.tobytes().decode("utf-8", "surrogateescape")


class TableBuilder:
    """Puts a table together, block by block.

    Args:
        source, prefix: of the table.
    """

    def __init__(self, source: Path, prefix: str = "") -> None:
        self.source = source
        self.prefix = prefix
        # One growing piece of memory each: the system gets it back, as it does not get many small ones.
        self._arrays: dict[str, bytearray] = {}
        self._ends = {"path_ends": 0, "label_ends": 0}

    def add(self, columns: Columns, lines: Sequence[int] | None = None) -> None:
        """Add rows, all blocks of one form.

        Args:
            columns: of the rows; numbers of frames below 2 ** 31.
            lines: in the file, counted from 1; None where there is no file.

        Raises:
            UserError: naming file:line, if a path is no name of a file.
        """
        try:
            content = (_PATH_END.join(columns.paths) + _PATH_END).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            content = b""
        characters = np.frombuffer(content, np.uint8)
        ends = np.flatnonzero(characters == ord(_PATH_END)) + 1
        if len(ends) != len(columns.paths):
            self._refuse_path(columns.paths, lines)
        self._keep("paths", characters)
        self._keep_ends("path_ends", ends)
        self._keep("labels", columns.labels)
        if columns.label_counts is not None:
            self._keep_ends("label_ends", columns.label_counts.cumsum())
        if columns.num_frames is not None:
            self._keep("num_frames", columns.num_frames)
        if columns.spans is not None:
            self._keep("spans", columns.spans)
        if lines is not None:
            self._keep("lines", lines)

    def __bool__(self) -> bool:
        return bool(self._arrays)

    def build(self) -> RecordTable:
        """The table of all rows, at least one."""
        arrays = {name: np.frombuffer(content, _TYPES[name]) for name, content in self._arrays.items()}
        if "spans" in arrays:
            arrays["spans"] = arrays["spans"].reshape(-1, 3)
        return RecordTable(SharedArrays(arrays), source=self.source, prefix=self.prefix)

    def _keep(self, name: str, array: Sequence[int] | np.ndarray) -> None:
        self._arrays.setdefault(name, bytearray()).extend(np.ascontiguousarray(array, _TYPES[name]).data.cast("B"))

    def _keep_ends(self, name: str, ends: np.ndarray) -> None:
        self._keep(name, ends + self._ends[name])
        self._ends[name] += int(ends[-1])

    def _refuse_path(self, paths: Sequence[str], lines: Sequence[int] | None) -> None:
        for row, path in enumerate(paths):
            if not is_file_name(path):
                where = self.source if lines is None else f"{self.source}:{lines[row]}"
                raise UserError(f"{where}: path {short(path)} has a character that no name of a file has")


def is_file_name(path: str) -> bool:
    """Whether the system could have a file of that name: no NUL, and nothing that bytes do not stand for."""
    try:
        return b"\0" not in path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False


class ChainedRecords(Records):
    """The records of several lists, one after the other."""

    def __init__(self, parts: Sequence[Sequence[VideoRecord]]) -> None:
        self.parts = tuple(parts)
        self._ends = list(accumulate(map(len, self.parts)))

    def __len__(self) -> int:
        return self._ends[-1]

    def _record(self, row: int) -> VideoRecord:
        part = bisect(self._ends, row)
        return self.parts[part][row - (self._ends[part - 1] if part else 0)]
