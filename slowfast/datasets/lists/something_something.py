"""Something-Something V2 from its official JSON files.

``labels.json`` maps each class to its number, as text: ``{"Holding something": "47", ...}``. ``train.json`` and
``validation.json`` are lists of ``{"id": "78687", "template": "Holding [something]", ...}``; video ``id`` is the file
``id``.webm. An older release names the files ``something-something-v2-train.json`` and so on; both are found.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slowfast.config.coerce import short
from slowfast.datasets.lists.annotations import check_label
from slowfast.datasets.lists.columns import record_columns
from slowfast.datasets.lists.record_table import RecordTable, TableBuilder
from slowfast.datasets.lists.text_file import read_text
from slowfast.datasets.records import VideoRecord
from slowfast.errors import UserError

_FILE_NAMES = ("{}.json", "something-something-v2-{}.json", "labels/{}.json")


def load_official_list(folder: Path, part: str, *, num_classes: int, prefix: str = "") -> RecordTable:
    """Read the videos of ``train.json`` or ``validation.json`` with their labels.

    Args:
        folder: that holds the JSON files (DATA.PATH_TO_DATA_DIR).
        part: train or validation.
        num_classes: labels lie in [0, num_classes).
        prefix: folder of the .webm files (DATA.PATH_PREFIX).

    Returns:
        At least one record, in the order of the file.

    Raises:
        UserError: naming file:line, for a missing or empty file, an entry of another form, or a label out of range.
    """
    labels = load_official_labels(folder)
    path = find_official_file(folder, part)
    rows = []
    for line_number, entry in iterate_json_array(path):
        where = f"{path}:{line_number}"
        video_id, template = (_text_field(entry, name, where) for name in ("id", "template"))
        name = without_brackets(template)
        if name not in labels:
            shown = video_id if video_id.isprintable() and len(video_id) < 80 else short(video_id)
            raise UserError(f"{where}: template {short(template)} of video {shown} is not a class of labels.json")
        check_label(labels[name], num_classes, where)
        rows.append((line_number, VideoRecord(f"{video_id}.webm", labels[name])))
    if not rows:
        raise UserError(f"{path}:1: the list is empty; expected entries with 'id' and 'template'")
    line_numbers, records = zip(*rows, strict=True)
    builder = TableBuilder(path, prefix)
    builder.add(record_columns(records), line_numbers)
    return builder.build()


def load_official_labels(folder: Path) -> dict[str, int]:
    """Classes of ``labels.json`` and their numbers.

    Raises:
        UserError: if the file is missing or of another form.
    """
    path = find_official_file(folder, "labels")
    try:
        return {name: int(label) for name, label in json.loads(read_text(path, "list file")).items()}
    except UserError:
        raise
    except (ValueError, OverflowError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f'{path}: expected {{"class": "number", ...}}: {error}') from None


def find_official_file(folder: Path, part: str) -> Path:
    """The file of labels, train, validation or test, whichever of its names it has.

    Raises:
        UserError: if there is none.
    """
    candidates = [folder / name.format(part) for name in _FILE_NAMES]
    for path in candidates:
        if os.path.isfile(path):
            return path
    names = ", ".join(str(path.relative_to(folder)) for path in candidates)
    raise UserError(
        f"{folder}: has none of {names}; set DATA.PATH_TO_DATA_DIR to the folder of the official JSON files"
    )


def without_brackets(template: str) -> str:
    """The class of a template: "Holding [something]" is "Holding something"."""
    return template.replace("[", "").replace("]", "")


def iterate_json_array(path: Path) -> Iterator[tuple[int, Any]]:
    """The entries of a JSON list, each with the 1-based line that it begins in.

    Raises:
        UserError: naming file:line, where the file is no JSON list.
    """
    text = read_text(path, "list file")
    decoder = json.JSONDecoder()
    line_number, counted = 1, 0
    position = _skip_blanks(text, 0)
    if text[position : position + 1] != "[":
        raise UserError(f"{path}:1: expected a JSON list, which begins with [")
    position = _skip_blanks(text, position + 1)
    while text[position : position + 1] != "]":
        try:
            entry, end = decoder.raw_decode(text, position)
            line_number, counted = line_number + text.count("\n", counted, position), position
            yield line_number, entry
            position = _skip_blanks(text, end)
            if text[position : position + 1] not in (",", "]"):
                raise json.JSONDecodeError("Expecting ',' or ']'", text, position)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}:{error.lineno}: {error.msg}; is the file complete?") from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, a thousand lists in lists
            line_number += text.count("\n", counted, position)
            raise UserError(f"{path}:{line_number}: no entry of a list: {error}") from None
        if text[position] == ",":
            position = _skip_blanks(text, position + 1)


def _skip_blanks(text: str, position: int) -> int:
    while text[position : position + 1].isspace():
        position += 1
    return position


def _text_field(entry: Any, name: str, where: str) -> str:
    value = entry.get(name) if isinstance(entry, dict) else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise UserError(f"{where}: expected an entry with 'id' and 'template', but {name!r} is missing")
    return value
