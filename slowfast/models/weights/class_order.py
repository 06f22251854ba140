"""From the rows of a checkpoint's classifier to ours: by class name, never by number alone.

A head of 400 classes in another order than the labels' loads without complaint and scores 1 of 400.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from slowfast.errors import UserError
from slowfast.models.weights.translation import Translation

ORDER_KEY = "MODEL.CHECKPOINT_CLASS_ORDER"
# Lists by the number of classes, for each public origin. Where there are several, the name of the file decides.
IMPLIED_LISTS = {
    "authors": {
        400: ["kinetics400_uniformer"],
        600: ["kinetics600_uniformer"],
        710: ["kinetics710_uniformer"],
    },
    "mmaction2": {
        400: ["kinetics400_alphabetical"],
        600: ["kinetics600_alphabetical"],
        700: ["kinetics700_alphabetical"],
        710: ["kinetics710_mmaction2"],
    },
}
for _lists in IMPLIED_LISTS.values():
    _lists |= {51: ["hmdb51"], 101: ["ucf101"], 339: ["moments_in_time_v1"]}
    _lists |= {174: ["something_something_v1", "something_something_v2"], 200: ["activitynet200"]}
# A list of the classes whose order in an origin is not known.
UNPUBLISHED_ORDERS = {"authors": "kinetics700_alphabetical"}
# HACS has ActivityNet's 200 classes in an order that is not published.
FILE_NAMES = {
    "something_something_v1": r"(sth|ss|something)[a-z_-]*v1",
    "something_something_v2": r"(sth|ss|something)[a-z_-]*v2",
    "activitynet200": r"a(ctivity)?net",
}


@dataclass(frozen=True)
class HeadRules:
    """What decides how the rows of a checkpoint's classifier become ours.

    Attributes:
        class_names: ours, in the order of the labels; None if it is not known.
        load_list: reads a list of class names by its name or path.
        class_key: what a class's names in different lists have in common.
        order: MODEL.CHECKPOINT_CLASS_ORDER.
        resets_other_size: a head of another size starts afresh.
        is_test: every class of ours needs a row.
        reset_key: key that sets ``resets_other_size`` where it is True, for messages; "" if there is none.
    """

    class_names: Sequence[str] | None
    load_list: Callable[[str], list[str]]
    class_key: Callable[[str], str]
    order: str = ""
    resets_other_size: bool = False
    is_test: bool = False
    reset_key: str = ""


@dataclass(frozen=True)
class HeadPlan:
    """What becomes of the head.

    Attributes:
        rows: for each class of ours the row of the checkpoint, None for a row that starts afresh; None as a whole:
            the head starts afresh.
        note: what was done and why, for the report.
        fresh: our classes without a row.
        unused: the checkpoint's classes without a class of ours.
        is_doubtful: the order of the rows could not be checked.
    """

    rows: list[int | None] | None
    note: str
    fresh: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    is_doubtful: bool = False


def match_classes(ours: Sequence[str], theirs: Sequence[str], class_key: Callable[[str], str]) -> list[int | None]:
    """For each of our class names the index of the same class in ``theirs``, or None.

    Equal names match first, then equal keys; a key that several of ``theirs`` have matches nothing.
    """
    exact = {name: idx for idx, name in enumerate(theirs)}
    keys = [class_key(name) for name in theirs]
    counts = Counter(keys)
    by_key = {key: idx for idx, key in enumerate(keys) if counts[key] == 1}
    return [exact[name] if name in exact else by_key.get(class_key(name)) for name in ours]


def implied_list(origin: str, num_classes: int, source: str) -> str | None:
    """Name of the list whose order a public checkpoint has, or None if that cannot be told.

    Args:
        origin: authors or mmaction2.
        num_classes: rows of its head.
        source: its file or address, whose last part tells lists of equal length apart.
    """
    lists = IMPLIED_LISTS.get(origin, {}).get(num_classes, [])
    file_name = source.rpartition("/")[2].lower()
    told = [name for name in lists if name not in FILE_NAMES or re.search(FILE_NAMES[name], file_name)]
    return told[0] if len(told) == 1 else None


def plan_head(rules: HeadRules, translation: Translation, *, num_theirs: int, num_ours: int, source: str) -> HeadPlan:
    """Decide what becomes of a head.

    Args:
        rules: ours.
        translation: origin and class names of the source are read.
        num_theirs, num_ours: rows of the two heads.
        source: file or address, for messages.

    Raises:
        UserError: if the order of the rows or of our labels is not known and nobody vouches for it, or no row is of a
            class of ours, or (in a test) not every class has a row.
    """
    is_own = translation.origin == "own"
    order = "" if is_own and rules.is_test else rules.order
    if order == "reset":
        if rules.is_test:
            raise UserError(f"{source}: {ORDER_KEY} reset leaves nothing to test; name the order of its classes")
        return HeadPlan(None, f"{ORDER_KEY} is reset: it starts afresh")
    if order == "same":
        if num_theirs != num_ours:
            raise UserError(
                f"{source}: {ORDER_KEY} is same, but it has {num_theirs} classes and MODEL.NUM_CLASSES is {num_ours}"
            )
        return HeadPlan(list(range(num_ours)), f"all {num_ours} rows as they are, as {ORDER_KEY} same asserts")
    if rules.resets_other_size and num_theirs != num_ours:
        return HeadPlan(None, f"of {num_theirs} classes instead of {num_ours}: it starts afresh")
    theirs, told_by = _their_names(rules, translation, order, num_theirs, source)
    ours = rules.class_names
    if theirs is None or ours is None:
        if is_own and num_theirs == num_ours:
            lacking = "the checkpoint carries no class names" if theirs is None else "DATA.CLASS_NAMES_FILE is empty"
            note = f"all {num_ours} rows as they are, although {lacking}: their order could not be checked"
            return HeadPlan(list(range(num_ours)), note, is_doubtful=True)
        _refuse_unknown_order(rules, translation, source, num_theirs, num_ours, are_theirs_known=theirs is not None)
    return _map_rows(rules, theirs, told_by, source)


def _their_names(
    rules: HeadRules, translation: Translation, order: str, num_theirs: int, source: str
) -> tuple[list[str] | None, str]:
    """Class names of the checkpoint's rows, or None, and what told them."""
    if order:
        names, told_by = rules.load_list(order), f"{ORDER_KEY} {order}"
        if len(names) != num_theirs:
            raise UserError(f"{source}: has {num_theirs} classes, but {ORDER_KEY} {order} lists {len(names)}")
        return names, told_by
    if translation.origin == "own":
        return translation.class_names, "its own class names"
    name = implied_list(translation.origin, num_theirs, source)
    return (rules.load_list(name), f"the order {name}") if name else (None, "")


def _refuse_unknown_order(
    rules: HeadRules, translation: Translation, source: str, num_theirs: int, num_ours: int, *, are_theirs_known: bool
) -> NoReturn:
    if are_theirs_known:
        cause = "DATA.CLASS_NAMES_FILE is empty, so that the order of your labels is not known"
        remedy = "set it to the names of your classes, one per line in the order of the labels"
    else:
        lists = IMPLIED_LISTS.get(translation.origin, {}).get(num_theirs, [])
        cause = f"the order of the {num_theirs} classes of {translation.layout} is not known"
        if translation.origin == "authors" and num_theirs == 700:
            cause += " (the authors' order of Kinetics-700 is not published as text)"
        remedy = f"set {ORDER_KEY} to {' or '.join(lists) or 'a list or file of their names'}"
    if num_theirs == num_ours:
        remedy += f", or {ORDER_KEY} to same if you are sure that the two orders are equal"
    if not rules.is_test:
        remedy += f", or {ORDER_KEY} to reset to start the classifier afresh"
    if not rules.is_test and num_theirs != num_ours and rules.reset_key:
        remedy += f" (as {rules.reset_key} True does for one of another size)"
    raise UserError(f"{source}: {cause}; {remedy}")


def _map_rows(rules: HeadRules, theirs: Sequence[str], told_by: str, source: str) -> HeadPlan:
    ours = rules.class_names
    rows = match_classes(ours, theirs, rules.class_key)
    fresh = [name for name, row in zip(ours, rows, strict=True) if row is None]
    if len(fresh) == len(ours) or (fresh and rules.is_test):
        names = ", ".join(fresh[:3]) + (f" and {len(fresh) - 3} more" if len(fresh) > 3 else "")
        remedy = "test with a checkpoint of these classes" if rules.is_test else f"set {ORDER_KEY} reset"
        raise UserError(
            f"{source}: by {told_by}, it has no class for {len(fresh)} of the {len(ours)} in DATA.CLASS_NAMES_FILE "
            f"({names}); correct DATA.CLASS_NAMES_FILE or {ORDER_KEY}, or {remedy}"
        )
    used = set(rows)
    unused = [name for idx, name in enumerate(theirs) if idx not in used]
    if rows == list(range(len(theirs))):
        return HeadPlan(rows, f"all {len(rows)} rows as they are, by {told_by}")
    return HeadPlan(rows, f"{len(rows) - len(fresh)} rows mapped by name, by {told_by}", fresh, unused)
