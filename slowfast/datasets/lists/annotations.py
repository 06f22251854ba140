"""List files to records: lines of a path and numbers, of one of four forms."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slowfast.datasets.records import LABEL_JOINT, VideoRecord
from slowfast.errors import UserError

_SEPARATORS = {",": "a comma", " ": "a space", "\t": "a tab", ";": "a semicolon"}


class _BadField(ValueError):
    """What is wrong with a field: "label 'x'" and "is not an integer", the line being named between the two."""


@dataclass(frozen=True)
class ListForm:
    """What a line of a list holds.

    Attributes:
        fields: names of the fields. The first is a path, which may contain the separator; the others are numbers.
        to_record: the fields' texts to a record; raises ``_BadField``.
        has_joined_numbers: the last field may be several numbers, joined by LABEL_JOINT.
    """

    fields: tuple[str, ...]
    to_record: Callable[[Sequence[str]], VideoRecord]
    has_joined_numbers: bool = False

    def split(self, line: str, separator: str) -> list[str]:
        """Texts of the fields from left to right; fewer than there should be if separators are missing."""
        return [field.strip() for field in line.rsplit(separator, len(self.fields) - 1)]

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


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _BadField(f"{name} {text!r}", "is not an integer") from None


def _seconds(name: str, text: str) -> float:
    if not _is_number(text):
        raise _BadField(f"{name} {text!r}", "is not a number of seconds")
    return float(text)


def _path_label_record(fields: Sequence[str]) -> VideoRecord:
    path, label = fields
    return VideoRecord(path, _integer("label", label))


def _path_labels_record(fields: Sequence[str]) -> VideoRecord:
    path, text = fields
    labels = [_integer("label", label.strip()) for label in text.split(LABEL_JOINT)]
    for label in labels:
        if labels.count(label) > 1:
            raise _BadField(f"label {label}", "is there more than once")
    if path.endswith(LABEL_JOINT):
        raise _BadField(f"path {path!r}", f"ends with {LABEL_JOINT!r}; join the labels of a video without blanks")
    return VideoRecord(path, tuple(sorted(labels)))


def _frame_folder_record(fields: Sequence[str]) -> VideoRecord:
    folder, num_frames, label = fields
    record = VideoRecord(folder, _integer("label", label), num_frames=_integer("num_frames", num_frames))
    if record.num_frames < 1:
        raise _BadField(f"num_frames {record.num_frames}", "is not at least 1")
    return record


def _time_span_record(fields: Sequence[str]) -> VideoRecord:
    path, total, start, end, label = fields
    total_s, start_s, end_s = (
        _seconds(name, text) for name, text in (("total_s", total), ("start_s", start), ("end_s", end))
    )
    if total_s <= 0:
        raise _BadField(f"total_s {total}", "is not above 0")
    if end_s <= start_s:
        raise _BadField(f"end_s {end}", f"is not after start_s {start}")
    if not 0 <= start_s < total_s:
        raise _BadField(f"start_s {start}", f"is outside [0, total_s {total})")
    return VideoRecord(path, _integer("label", label), total_s=total_s, start_s=start_s, end_s=end_s)


PATH_LABEL = ListForm(("path", "label"), _path_label_record)
PATH_LABELS = ListForm(("path", "label;label;..."), _path_labels_record, has_joined_numbers=True)
FRAME_FOLDER = ListForm(("folder", "num_frames", "label"), _frame_folder_record)
TIME_SPAN = ListForm(("path", "total_s", "start_s", "end_s", "label"), _time_span_record)


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
        problem = f"{subject} of {line!r} {predicate}"
    else:
        problem = f"expected {separator.join(form.fields)!r}, found {line!r}"
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


def iterate_list(
    path: Path, form: ListForm, *, separator: str, num_classes: int, is_fixed_separator: bool = False
) -> Iterator[tuple[int, VideoRecord]]:
    """The records of a list with their 1-based line numbers; arguments and errors as those of ``load_list``."""
    if separator == "":
        raise UserError("DATA.PATH_LABEL_SEPARATOR is empty; accepted: what stands between path and label, such as ','")
    for line_number, line in enumerate(_read_lines(path), start=1):
        if not line.strip():
            continue
        try:
            record = parse_line(line, form, separator, is_fixed_separator=is_fixed_separator)
        except ValueError as error:
            raise UserError(f"{path}:{line_number}: {error}") from None
        for label in record.label if isinstance(record.label, tuple) else (record.label,):
            check_label(label, num_classes, f"{path}:{line_number}")
        yield line_number, record


def load_list(
    path: Path,
    form: ListForm,
    *,
    separator: str,
    num_classes: int,
    prefix: str = "",
    is_fixed_separator: bool = False,
) -> list[VideoRecord]:
    """Read a list, one record per line; empty lines are skipped.

    Args:
        path: the list file, UTF-8.
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
    rows = iterate_list(path, form, separator=separator, num_classes=num_classes, is_fixed_separator=is_fixed_separator)
    records = [record._replace(path=str(Path(prefix, record.path))) for _, record in rows]
    if not records:
        raise UserError(f"{path}:1: the list is empty; expected lines of the form {separator.join(form.fields)!r}")
    return records


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path}: no such list file; set DATA.PATH_TO_DATA_DIR to the folder of the lists") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot read the list file: {error}") from None


def check_label(label: int, num_classes: int, where: str) -> None:
    """Refuse a label outside [0, num_classes).

    Raises:
        UserError: beginning with ``where``.
    """
    if not 0 <= label < num_classes:
        raise UserError(f"{where}: label {label} is outside [0, {num_classes}); mend the list or set MODEL.NUM_CLASSES")


def load_class_names(path: Path, num_classes: int) -> list[str]:
    """Read class names, one per line, in the order of the labels.

    Raises:
        UserError: if the file cannot be read or does not hold ``num_classes`` distinct names.
    """
    try:
        names = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"DATA.CLASS_NAMES_FILE {path}: cannot be read: {error}") from None
    if len(names) != num_classes or len(set(names)) != num_classes:
        raise UserError(
            f"DATA.CLASS_NAMES_FILE {path}: {len(names)} names, {len(set(names))} of them distinct; "
            f"expected one per line for each of MODEL.NUM_CLASSES {num_classes} classes"
        )
    return names
