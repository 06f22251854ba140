"""What a line of a list holds: a path and numbers, in one of four forms."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slowfast.config.coerce import short
from slowfast.datasets.lists.columns import (
    MAX_INT32,
    Columns,
    frame_folder_columns,
    path_label_columns,
    path_labels_columns,
    time_span_columns,
)
from slowfast.datasets.records import LABEL_JOINT, VideoRecord

_SEPARATORS = {",": "a comma", " ": "a space", "\t": "a tab", ";": "a semicolon"}
# A field as programs that write CSV quote it: in quotes, and those within it doubled.
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')


class _BadField(ValueError):
    """What is wrong with a field: "label 'x'" and "is not an integer", the line being named between the two."""


@dataclass(frozen=True)
class ListForm:
    """What a line of a list holds.

    Attributes:
        fields: names of the fields. The first is a path, which may contain the separator; the others are numbers.
        to_record: the fields' texts to a record; raises ``_BadField``.
        to_columns: the texts of many rows to the same, column by column; raises ``NotPlain`` where ``to_record`` is to
            look at each row.
        has_joined_numbers: the last field may be several numbers, joined by LABEL_JOINT.
    """

    fields: tuple[str, ...]
    to_record: Callable[[Sequence[str]], VideoRecord]
    to_columns: Callable[[Sequence[Sequence[str]]], Columns]
    has_joined_numbers: bool = False

    def split(self, line: str, separator: str) -> list[str]:
        """Texts of the fields from left to right, without quotes; fewer if separators are missing."""
        return [field_text(field) for field in line.rsplit(separator, len(self.fields) - 1)]

    def split_many(self, lines: Sequence[str], separator: str) -> list[list[str]]:
        """Texts of each field of all lines, at least one.

        Raises:
            ValueError: if a line has other than all fields, or no path.
        """
        columns: list[list[str]] = []
        rests = list(lines)
        # Strings alone: a list or tuple for each line would set Python's collector of cycles going, again and again.
        for _ in self.fields[1:]:
            ends = [rest.rfind(separator) for rest in rests]
            columns.append([rest[end + len(separator) :] for rest, end in zip(rests, ends, strict=True)])
            rests = [rest[: max(end, 0)] for rest, end in zip(rests, ends, strict=True)]
        has_quotes = any('"' in line for line in lines)
        text_of = field_text if has_quotes else str.strip
        texts = [list(map(text_of, column)) for column in (rests, *reversed(columns))]
        if not all(texts[0]):
            raise ValueError
        return texts

    def looks_separated_by(self, line: str, separator: str) -> bool:
        """Whether the separator leaves a path and numbers."""
        path, *numbers = self.split(line, separator)
        if not path or len(numbers) != len(self.fields) - 1:
            return False
        if self.has_joined_numbers:
            if LABEL_JOINT in separator:
                return False
            numbers[-1:] = numbers[-1].split(LABEL_JOINT)
        return all(map(_is_number, numbers))


def field_text(field: str) -> str:
    """A field without the blanks around it, and without quotes around all of it."""
    text = field.strip()
    quoted = _QUOTED.fullmatch(text) if text.startswith('"') else None
    return text if quoted is None else quoted[1].replace('""', '"')


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _BadField(f"{name} {short(text)}", "is not an integer") from None


def _seconds(name: str, text: str) -> float:
    if not _is_number(text):
        raise _BadField(f"{name} {short(text)}", "is not a number of seconds")
    return float(text)


def _path_label_record(fields: Sequence[str]) -> VideoRecord:
    path, label = fields
    return VideoRecord(path, _integer("label", label))


def _path_labels_record(fields: Sequence[str]) -> VideoRecord:
    path, text = fields
    labels = [_integer("label", label.strip()) for label in text.split(LABEL_JOINT)]
    for label in labels:
        if labels.count(label) > 1:
            raise _BadField(f"label {short(label)}", "is there more than once")
    if path.endswith(LABEL_JOINT):
        raise _BadField(f"path {short(path)}", f"ends with {LABEL_JOINT!r}; join the labels of a video without blanks")
    return VideoRecord(path, tuple(sorted(labels)))


def _frame_folder_record(fields: Sequence[str]) -> VideoRecord:
    folder, num_frames, label = fields
    record = VideoRecord(folder, _integer("label", label), num_frames=_integer("num_frames", num_frames))
    if record.num_frames < 1:
        raise _BadField(f"num_frames {short(record.num_frames)}", "is not at least 1")
    if record.num_frames > MAX_INT32:
        raise _BadField(f"num_frames {short(record.num_frames)}", f"is more than {MAX_INT32}")
    return record


def _time_span_record(fields: Sequence[str]) -> VideoRecord:
    path, total, start, end, label = fields
    total_s, start_s, end_s = (
        _seconds(name, text) for name, text in (("total_s", total), ("start_s", start), ("end_s", end))
    )
    if total_s <= 0:
        raise _BadField(f"total_s {total:.40}", "is not above 0")
    if end_s <= start_s:
        raise _BadField(f"end_s {end:.40}", f"is not after start_s {start:.40}")
    if not 0 <= start_s < total_s:
        raise _BadField(f"start_s {start:.40}", f"is outside [0, total_s {total:.40})")
    return VideoRecord(path, _integer("label", label), total_s=total_s, start_s=start_s, end_s=end_s)


PATH_LABEL = ListForm(("path", "label"), _path_label_record, path_label_columns)
PATH_LABELS = ListForm(("path", "label;label;..."), _path_labels_record, path_labels_columns, has_joined_numbers=True)
FRAME_FOLDER = ListForm(("folder", "num_frames", "label"), _frame_folder_record, frame_folder_columns)
TIME_SPAN = ListForm(("path", "total_s", "start_s", "end_s", "label"), _time_span_record, time_span_columns)


def parse_line(line: str, form: ListForm, separator: str, *, is_fixed_separator: bool = False) -> VideoRecord:
    """Parse one line of a list.

    Args:
        line: without its end.
        form: the fields to expect.
        separator: what stands between them.
        is_fixed_separator: the separator is the data set's own and no key changes it; for the message.

    Raises:
        ValueError: if a field is missing or not what it should be, naming the separator that the line seems to have
            instead; the message has no file and line.
    """
    fields = form.split(line, separator)
    if len(fields) == len(form.fields) and fields[0]:
        try:
            return form.to_record(fields)
        except _BadField as error:
            subject, predicate = error.args
        problem = f"{subject} of {short(line, 200)} {predicate}"
    else:
        problem = f"expected {separator.join(form.fields)!r}, found {short(line, 200)}"
    raise ValueError(problem + _separator_hint(line, form, separator, is_fixed_separator=is_fixed_separator))


def _separator_hint(line: str, form: ListForm, separator: str, *, is_fixed_separator: bool) -> str:
    """Name the separator that the line seems to have instead, if there is one."""
    if form.looks_separated_by(line, separator):
        return ""
    if form is PATH_LABEL and PATH_LABELS.looks_separated_by(line, separator):
        return "; several labels per video need DATA.MULTI_LABEL True"
    for candidate, name in _SEPARATORS.items():
        if candidate != separator and form.looks_separated_by(line, candidate):
            written = "$'\\t'" if candidate == "\t" else repr(candidate)  # as a shell takes it
            remedy = f"set DATA.PATH_LABEL_SEPARATOR {written}"
            if is_fixed_separator:
                remedy = f"the lists of this data set need {_SEPARATORS[separator]}"
            return f"; it looks separated by {name}: {remedy}"
    return ""
