"""From a value in a file or on the command line to the type that its key's default has.

The default directs the conversion, so that ``1e-6`` (text to YAML 1.1) becomes a float for a float key and ``123``
stays text for a text key. Each converter takes a value or raises ``TypeError`` or ``ValueError``.
"""

import ast
import math
import os
import reprlib
from collections.abc import Callable
from typing import Any, NamedTuple

import yaml

from slowfast.errors import UserError

_CUT = reprlib.Repr()
_CUT.maxlevel, _CUT.maxdict, _CUT.maxlist, _CUT.maxtuple, _CUT.maxset = 3, 40, 40, 40, 40
_CUT.maxstring, _CUT.maxlong, _CUT.maxother = 200, 200, 2000


class KeyType(NamedTuple):
    """What a key takes: a converter and a phrase for messages."""

    convert: Callable[[Any], Any]
    accepted: str


def coerce(key: str, value: Any, default: Any, where: str) -> Any:
    """Convert a value to what its key takes.

    Args:
        key: full dotted key.
        value: as read; text from the command line is converted too.
        default: the key's default, which gives the type (see ``MULTI_TYPE_KEYS`` for exceptions).
        where: where the value comes from, for the message.

    Returns:
        The value, of the key's type.

    Raises:
        UserError: if it cannot be converted; the message names key, value, its type and what is accepted.
    """
    key_type = key_type_of(key, default)
    try:
        return key_type.convert(value)
    except (TypeError, ValueError, OverflowError):
        shown = "null" if value is None else f"{short(value)} ({type(value).__name__})"
        raise UserError(f"{where}: {key} takes {key_type.accepted}, not {shown}") from None


def key_type_of(key: str, default: Any) -> KeyType:
    """The type of a key, by name where it takes several types, else by its default."""
    if key in MULTI_TYPE_KEYS:
        return MULTI_TYPE_KEYS[key]
    if isinstance(default, list):
        item_type = type(default[0]) if default else EMPTY_LIST_ITEMS[key]
        item = TYPES[item_type]
        return KeyType(lambda value: _to_list(value, item.convert), f"a list, each item {item.accepted}")
    return TYPES[type(default)]


def short(value: Any, limit: int = 80) -> str:
    """``repr`` of a value on one line, cut to ``limit`` characters.

    Lists in lists whose whole text would fill the memory are cut as they are written.
    """
    try:
        text = repr(value[: limit + 1]) if isinstance(value, str) else " ".join(_CUT.repr(value).split())
    except ValueError:  # an integer of more digits than Python writes
        text = f"a value of more than {limit} characters"
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in BOOL_TEXTS:
        return BOOL_TEXTS[value]
    raise TypeError


def _to_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError
    number = int(value)
    str(number)  # a ValueError where no message could show it
    return number


def to_float(value: Any) -> float:
    """Takes a finite number, or its text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def to_str(value: Any) -> str:
    """Takes text or a path."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError
    return str(value)


def _to_list(value: Any, convert_item: Callable[[Any], Any]) -> list:
    items = _parse_literal(value) if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise TypeError
    return [convert_item(item) for item in items]


def _parse_literal(text: str) -> Any:
    """A Python literal, such as (8, 9), or else YAML, such as [a, b]; None for what is neither."""
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def none_or(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Takes None, or what ``convert`` takes."""
    return lambda value: None if value is None or value in NONE_TEXTS else convert(value)


def number_or_list(length: int) -> Callable[[Any], Any]:
    """Takes one number, or a list of ``length`` numbers."""

    def convert(value: Any) -> float | list[float]:
        try:
            return to_float(value)
        except (TypeError, ValueError):
            items = _to_list(value, to_float)
        if len(items) != length:
            raise ValueError
        return items

    return convert


def lists_of_numbers(value: Any) -> list[list[float]]:
    """Takes a list of lists of finite numbers."""
    return _to_list(value, lambda item: _to_list(item, to_float))


BOOL_TEXTS = {"true": True, "True": True, "false": False, "False": False}
NONE_TEXTS = ("", "None", "none", "null")

TYPES = {
    bool: KeyType(_to_bool, "a bool (true or false)"),
    int: KeyType(_to_int, "an int"),
    float: KeyType(to_float, "a finite number"),
    str: KeyType(to_str, "a str (in YAML, quote what looks like another type)"),
}

# Item types of the lists that are empty by default, which cannot tell.
EMPTY_LIST_ITEMS = {
    "AUG.EXTRA_TRANSFORMS": str,
    "DATA.TRAIN_JITTER_ASPECT_RELATIVE": float,
    "DATA.TRAIN_JITTER_SCALES_RELATIVE": float,
    "PLUGINS": str,
    "SOLVER.LRS": float,
    "SOLVER.STEPS": int,
    "TEST.PROBES": str,
    "TRAIN.LOGGERS": str,
}

# Keys that take several types; sections add theirs (``sections.py``).
MULTI_TYPE_KEYS: dict[str, KeyType] = {}
