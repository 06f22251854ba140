"""List files to records; a mistake is named as file:line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slowfast.config.coerce import short
from slowfast.datasets.lists.columns import Columns, NotPlain, record_columns
from slowfast.datasets.lists.line_forms import ListForm, parse_line
from slowfast.datasets.lists.record_table import RecordTable, TableBuilder
from slowfast.datasets.lists.text_file import iterate_line_blocks
from slowfast.datasets.records import VideoRecord
from slowfast.errors import UserError


def iterate_list(
    path: Path, form: ListForm, *, separator: str, num_classes: int, is_fixed_separator: bool = False
) -> Iterator[tuple[int, VideoRecord]]:
    """The records of a list, one by one, with their 1-based line numbers.

    Arguments and errors are those of ``load_list``, whose results are the same.
    """
    _check_separator(separator)
    rows = _Rows(path, form, separator, num_classes, is_fixed_separator)
    num_lines = 0
    for lines in iterate_line_blocks(path):
        yield from rows.one_by_one(lines, num_lines)
        num_lines += len(lines)


def load_list(
    path: Path,
    form: ListForm,
    *,
    separator: str,
    num_classes: int,
    prefix: str = "",
    is_fixed_separator: bool = False,
) -> RecordTable:
    """Read a list, one record per line; empty lines are skipped.

    Args:
        path: the list file, UTF-8; other bytes than that stand for themselves.
        form: what a line holds.
        separator: what stands between the fields (DATA.PATH_LABEL_SEPARATOR).
        num_classes: labels lie in [0, num_classes).
        prefix: folder that relative paths start from (DATA.PATH_PREFIX).
        is_fixed_separator: the separator is the data set's own and no key changes it; for messages.

    Returns:
        At least one record.

    Raises:
        UserError: naming file:line, for a missing or empty file, a line of another form, or a label out of range.
    """
    _check_separator(separator)
    rows = _Rows(path, form, separator, num_classes, is_fixed_separator)
    builder = TableBuilder(path, prefix)
    num_lines = 0
    for lines in iterate_line_blocks(path):
        columns = rows.all_at_once(lines)
        if columns is not None:
            builder.add(columns, range(num_lines + 1, num_lines + len(lines) + 1))
        elif numbered := list(rows.one_by_one(lines, num_lines)):
            numbers, records = zip(*numbered, strict=True)
            builder.add(record_columns(records), numbers)
        num_lines += len(lines)
    if not builder:
        raise UserError(f"{path}:1: the list is empty; expected lines of the form {separator.join(form.fields)!r}")
    return builder.build()


@dataclass(frozen=True)
class _Rows:
    """How the lines of a list are read; attributes as the arguments of ``load_list``."""

    path: Path
    form: ListForm
    separator: str
    num_classes: int
    is_fixed_separator: bool

    def all_at_once(self, lines: Sequence[str]) -> Columns | None:
        """Rows of lines that are all good; None if one is empty or wrong."""
        try:
            columns = self.form.to_columns(self.form.split_many(lines, self.separator))
        except NotPlain:
            return None
        is_known = np.all((columns.labels >= 0) & (columns.labels < self.num_classes))
        return columns if is_known else None

    def one_by_one(self, lines: Sequence[str], num_before: int) -> Iterator[tuple[int, VideoRecord]]:
        """Rows of any lines with their numbers, and the errors of ``load_list``."""
        for line_number, line in enumerate(lines, start=num_before + 1):
            if not line.strip():
                continue
            where = f"{self.path}:{line_number}"
            try:
                record = parse_line(line, self.form, self.separator, is_fixed_separator=self.is_fixed_separator)
            except ValueError as error:
                raise UserError(f"{where}: {error}") from None
            for label in record.label if isinstance(record.label, tuple) else (record.label,):
                check_label(label, self.num_classes, where)
            yield line_number, record


def _check_separator(separator: str) -> None:
    if separator == "":
        raise UserError("DATA.PATH_LABEL_SEPARATOR is empty; accepted: what stands between path and label, such as ','")


def check_label(label: int, num_classes: int, where: str) -> None:
    """Refuse a label outside [0, num_classes).

    Raises:
        UserError: beginning with ``where``.
    """
    if not 0 <= label < num_classes:
        raise UserError(
            f"{where}: label {short(label)} is outside [0, {num_classes}); mend the list or set MODEL.NUM_CLASSES"
        )
