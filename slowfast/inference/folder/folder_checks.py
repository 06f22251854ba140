"""What config.json and proof.json of a model folder may say: a folder from elsewhere may say anything."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slowfast.errors import UserError
from slowfast.inference.folder.folder_files import AGAIN


def check_config(config: Mapping[str, Any], path: Path, form: str) -> None:
    """Refuse a config.json whose values are of other types than ``publish`` writes.

    Args:
        config: its content; the settings' own values are checked where they are used.
        path: for the message.
        form: the ``format`` that is accepted.

    Raises:
        UserError: naming the value.
    """
    if config.get("format") != form:
        raise UserError(f"{path}: its format is {config.get('format')!r}; accepted: {form!r}")
    plugins, names, window_s = (config.get(key) for key in ("plugins", "class_names", "window_s"))
    if not (isinstance(config.get("settings"), dict) and _is_texts(plugins)):
        raise UserError(f"{path}: lacks its settings or plugins; {AGAIN}")
    if not (names is None or _is_texts(names)):
        raise UserError(f"{path}: its class names are no list of texts; {AGAIN}")
    for key in ("class_note", "source", "license"):
        if not _is_texts([config.get(key, "")]):
            raise UserError(f"{path}: its {key} is no text; {AGAIN}")
    notes = config.get("notes", {})
    if not (isinstance(notes, dict) and _is_texts([*notes, *notes.values()])):
        raise UserError(f"{path}: its notes are no texts by name; {AGAIN}")
    if not (window_s is None or (_is_finite(window_s) and window_s > 0)):
        raise UserError(f"{path}: its window_s is {window_s!r}; accepted: seconds above 0, or null; {AGAIN}")


def check_file_name(name: str, path: Path) -> None:
    """Refuse a name of a file in proof.json that leads out of its folder, or that no file has.

    Raises:
        UserError: naming it.
    """
    if os.path.basename(name) != name or name in ("", ".", "..") or "\0" in name:
        raise UserError(f"{path}: names the file {name!r}; accepted: files of its folder")


def check_errors(errors: list[Any], path: Path) -> None:
    """Refuse errors in proof.json that nobody can have measured.

    Raises:
        UserError: unless all are finite numbers from 0.
    """
    if not all(_is_finite(error) and error >= 0 for error in errors):
        raise UserError(f"{path}: lacks the errors that were measured; {AGAIN}")


def _is_texts(value: object) -> bool:
    """Whether it is a list of texts that can be written: JSON also takes halves of a character."""
    return isinstance(value, list) and all(isinstance(each, str) and _is_whole(each) for each in value)


def _is_whole(text: str) -> bool:
    return text.encode(errors="replace").decode() == text


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False
