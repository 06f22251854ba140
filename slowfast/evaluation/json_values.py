"""JSON values as the types that a data class declares, so that a file edited by hand fails where it is read."""

import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

_MOST = 2**63
_LONGEST = 40


def from_json(kind: Any, value: object, where: str = "") -> Any:
    """Make an object of its JSON form.

    Args:
        kind: a data class, a ``TypedDict``, ``str``, ``bool``, ``int`` (a count or a number of something: not below 0),
            ``float`` (null is NaN, which JSON has not), a ``Literal`` of text, one of these or None, or a
            ``Sequence``, ``Mapping`` or ``tuple`` of them.
        value: as ``json.loads`` gives it.
        where: names of the fields that lead to the value, for errors.

    Raises:
        ValueError: with the field and the value; also for fields that the class does not have, or that are missing.
    """
    origin, of = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (inner,) = (each for each in of if each is not type(None))
        return None if value is None else from_json(inner, value, where)
    if is_dataclass(kind) or is_typeddict(kind):
        return _fields_from_json(kind, value, where)
    if origin is Mapping or origin is dict:
        items = _of_type(dict, "an object", value, where)
        return {name: from_json(of[1], each, _inner(where, name)) for name, each in items.items()}
    if origin is Sequence or origin is list or origin is tuple:
        rows = _of_type(list, "an array", value, where)
        if origin is not tuple:
            return [from_json(of[0], each, f"{where}[{number}]") for number, each in enumerate(rows)]
        if len(rows) != len(of):
            raise _wrong(where, f"an array of {len(of)} values", value)
        return tuple(from_json(each, row, f"{where}[{i}]") for i, (each, row) in enumerate(zip(of, rows, strict=True)))
    if origin is Literal:
        if isinstance(value, str) and value in of:
            return value
        raise _wrong(where, " or ".join(map(repr, of)), value)
    return _plain_from_json(kind, value, where)


def _fields_from_json(kind: Any, value: object, where: str) -> Any:
    """A data class or a ``TypedDict``."""
    content = _of_type(dict, "an object", value, where)
    hints = get_type_hints(kind)
    if is_dataclass(kind):
        required = {each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING}
    else:
        required = kind.__required_keys__
    if unknown := content.keys() - hints.keys():
        raise ValueError(f"{_inner(where, min(unknown))} is no field of it")
    if missing := required - content.keys():
        raise ValueError(f"{_inner(where, min(missing))} is missing")
    return kind(**{name: from_json(hints[name], each, _inner(where, name)) for name, each in content.items()})


def _plain_from_json(kind: type, value: object, where: str) -> Any:
    if kind is float:
        if value is None:
            return math.nan
        if type(value) in (int, float) and abs(value) < _MOST:
            return float(value)
        raise _wrong(where, "a number", value)
    if kind is int:
        if type(value) is int and 0 <= value < _MOST:
            return value
        raise _wrong(where, "a whole number from 0 on", value)
    if kind is str:
        # A file's name may be of any bytes, which are such halves of characters; others are nobody's.
        with_bytes = _of_type(str, "text", value, where).encode("utf-8", "surrogateescape")
        return with_bytes.decode("utf-8", "surrogateescape")
    return _of_type(kind, "true or false", value, where)


def _of_type(kind: type, told: str, value: object, where: str) -> Any:
    if not isinstance(value, kind):
        raise _wrong(where, told, value)
    return value


def _inner(where: str, name: str) -> str:
    shown = name if name.isidentifier() else repr(name)
    return f"{where}.{shown}" if where else shown


def _wrong(where: str, told: str, value: object) -> ValueError:
    shown = ascii(value)
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
    return ValueError(f"{where or 'it'} is {shown}, not {told}")
