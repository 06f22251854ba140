"""List files to records."""

from pathlib import Path

from slowfast.datasets.records import VideoRecord
from slowfast.runtime.errors import UserError

_SEPARATORS = {",": "a comma", " ": "a space", "\t": "a tab", ";": "a semicolon"}


def _separator_hint(line: str, separator: str) -> str:
    """Name the separator that would split the line into a path and a number, if there is one."""
    for candidate, name in _SEPARATORS.items():
        if candidate != separator and line.rpartition(candidate)[2].strip().isdigit():
            return f"; it looks separated by {name}: set DATA.PATH_LABEL_SEPARATOR {candidate!r}"
    return ""


def parse_path_label(line: str, separator: str) -> VideoRecord:
    """Parse ``path<sep>label``; the path may contain the separator.

    Raises:
        ValueError: if there is no separator or the label is not an integer; the message has no file and line.
    """
    path, found, label = line.rpartition(separator)
    if not found or not path.strip():
        hint = _separator_hint(line, separator)
        raise ValueError(f"expected 'path{separator}label', found {line!r}{hint}")
    try:
        return VideoRecord(path.strip(), int(label))
    except ValueError:
        hint = _separator_hint(line, separator)
        raise ValueError(f"label {label.strip()!r} of {line!r} is not an integer{hint}") from None


def load_path_label_list(path: Path, *, separator: str, num_classes: int, prefix: str = "") -> list[VideoRecord]:
    """Read a Kinetics-style list: one ``path<sep>label`` a line; empty lines are skipped.

    Args:
        path: the list file, UTF-8.
        separator: what stands between path and label (DATA.PATH_LABEL_SEPARATOR).
        num_classes: labels lie in [0, num_classes).
        prefix: folder that relative paths start from (DATA.PATH_PREFIX).

    Returns:
        At least one record.

    Raises:
        UserError: naming file:line, for a missing or empty file, a line of another form, or a label out of range.
    """
    if separator == "":
        raise UserError("DATA.PATH_LABEL_SEPARATOR is empty; accepted: what stands between path and label, such as ','")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path}: no such list file; set DATA.PATH_TO_DATA_DIR to the folder of the lists") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot read the list file: {error}") from None
    records = []
    for line_number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = parse_path_label(line, separator)
        except ValueError as error:
            raise UserError(f"{path}:{line_number}: {error}") from None
        if not 0 <= record.label < num_classes:
            raise UserError(
                f"{path}:{line_number}: label {record.label} is outside [0, {num_classes}); "
                f"mend the list or set MODEL.NUM_CLASSES"
            )
        records.append(record._replace(path=str(Path(prefix, record.path))))
    if not records:
        raise UserError(f"{path}:1: the list is empty; expected lines of the form 'path{separator}label'")
    return records


def load_class_names(path: Path, num_classes: int) -> list[str]:
    """Read class names, one a line, in the order of the labels.

    Raises:
        UserError: if the file cannot be read or does not hold ``num_classes`` distinct names.
    """
    try:
        names = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"DATA.CLASS_NAMES_FILE {path}: cannot be read: {error}") from None
    if len(names) != num_classes or len(set(names)) != num_classes:
        raise UserError(
            f"DATA.CLASS_NAMES_FILE {path}: {len(names)} names, {len(set(names))} of them distinct; "
            f"expected one a line for each of MODEL.NUM_CLASSES {num_classes} classes"
        )
    return names
