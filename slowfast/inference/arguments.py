"""Arguments of a model in use: what they mean, and which are refused."""

import re

from slowfast.errors import UserError


def check_count(name: str, value: object) -> None:
    """Refuse what is no whole number from 1.

    Raises:
        UserError: naming the argument and its value.
    """
    if type(value) is not int or value < 1:
        raise UserError(f"{name} is {value!r}; accepted: whole numbers from 1")


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
