"""Arguments of a model in use: what they mean, and which are refused."""

import io
import os
import re
from math import inf
from numbers import Real

from slowfast.errors import UserError


def check_count(name: str, value: object) -> None:
    """Refuse what is no whole number from 1.

    Raises:
        UserError: naming the argument and its value.
    """
    if type(value) is not int or value < 1:
        raise UserError(f"{name} is {value!r}; accepted: whole numbers from 1")


def check_number(name: str, value: object, *, accepted: str, lowest: float = 0.0, highest: float = inf) -> None:
    """Refuse what is no number above ``lowest`` and up to ``highest``; None is not given.

    Raises:
        UserError: naming the argument, its value and what is ``accepted``.
    """
    if value is None:
        return
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not (is_number and lowest < value <= highest and value < inf):
        raise UserError(f"{name} is {value!r}; accepted: {accepted}")


def stream_name(source: object) -> str:
    """What messages call the source of a stream: "-" for an open file.

    Raises:
        UserError: if it is neither a path, an address nor an open file.
    """
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    if not hasattr(source, "read") or isinstance(source, io.TextIOBase):
        what = "a file that is open for text" if hasattr(source, "read") else f"of the type {type(source).__name__}"
        raise UserError(
            f"the source of a stream is {what}; accepted: a path or an address, or a file that is open for bytes"
        )
    return "-"


def is_one_video(videos: object) -> bool:
    """Whether it is one video, and not a list of them."""
    return not isinstance(videos, list | tuple)


def raise_if_failed(path: str, error: str) -> None:
    """Raise the error of the only video that was asked for, if it has one."""
    if error:
        raise UserError(f"{path}: {error}")


def parse_views(views: str | tuple[int, int]) -> tuple[int, int]:
    """Temporal clips and spatial crops of "4x3" or (4, 3).

    Raises:
        UserError: for anything else.
    """
    given = views
    if isinstance(views, str):
        views = tuple(map(int, views.split("x"))) if re.fullmatch(r"[0-9]{1,6}x[0-9]{1,6}", views) else ()
    is_good = isinstance(views, list | tuple) and len(views) == 2 and all(type(number) is int for number in views)
    if not is_good or views[0] < 1 or views[1] not in (1, 3):
        raise UserError(f"views {given!r}; accepted: temporal clips x spatial crops, such as 4x3; crops are 1 or 3")
    return tuple(views)
