"""From the rows of a checkpoint's classifier to ours: by class name, never by number alone.

A head of 400 classes in another order than the labels' loads without complaint and scores 1 of 400.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

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
# Lists whose order in an origin nobody published, for which MMAction2's is taken -> leading rows that are known all the
# same: the authors' code takes the first 400 of Kinetics-710 for Kinetics-400.
ASSUMED_ORDERS = {"authors": {"kinetics710_uniformer": 400, "moments_in_time_v1": 0, "activitynet200": 0}}
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
        is_warning: the note is a warning: the order of the rows is assumed or could not be checked, or rows were
            dropped whose classes are ours.
    """

    rows: list[int | None] | None
    note: str
    fresh: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    is_warning: bool = False


class RowOrder(NamedTuple):
    """Whose classes the rows of a checkpoint's classifier are.

    Attributes:
        names: of the classes.
        told_by: what tells them, for people.
        list_name: the shipped list that the origin implies; "" if something else tells them.
    """

    names: list[str]
    told_by: str
    list_name: str = ""


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
    sizes = {"num_theirs": num_theirs, "num_ours": num_ours, "source": source}
    if order == "reset":
        if rules.is_test:
            raise UserError(f"{source}: {ORDER_KEY} reset leaves nothing to test; name the order of its classes")
        return _drop(rules, translation, "", f"{ORDER_KEY} is reset: it starts afresh", **sizes)
    if order == "same":
        if num_theirs != num_ours:
            raise UserError(
                f"{source}: {ORDER_KEY} is same, but it has {num_theirs} classes and MODEL.NUM_CLASSES is {num_ours}"
            )
        return HeadPlan(list(range(num_ours)), f"all {num_ours} rows as they are, as {ORDER_KEY} same asserts")
    if rules.resets_other_size and num_theirs != num_ours:
        note = f"of {num_theirs} classes instead of {num_ours}: it starts afresh"
        return _drop(rules, translation, order, note, **sizes)
    theirs = _row_order(rules, translation, order, num_theirs, source)
    if theirs is None or rules.class_names is None:
        if is_own and num_theirs == num_ours:
            lacking = "the checkpoint carries no class names" if theirs is None else "DATA.CLASS_NAMES_FILE is empty"
            note = f"all {num_ours} rows as they are, although {lacking}: their order could not be checked"
            return HeadPlan(list(range(num_ours)), note, is_warning=True)
        _refuse_unknown_order(rules, translation, source, num_theirs, num_ours, are_theirs_known=theirs is not None)
    return _map_rows(rules, theirs, translation.origin, source)


def num_assumed(origin: str, list_name: str, rows: Sequence[int | None]) -> int:
    """How many rows, of those that a shipped list implies for an origin, are of classes that are assumed."""
    num_known = ASSUMED_ORDERS.get(origin, {}).get(list_name)
    return 0 if num_known is None else sum(row is not None and row >= num_known for row in rows)


def _row_order(rules: HeadRules, translation: Translation, order: str, num_theirs: int, source: str) -> RowOrder | None:
    """Whose classes the checkpoint's rows are, or None if nothing tells."""
    if order:
        names, told_by = rules.load_list(order), f"{ORDER_KEY} {order}"
        if len(names) != num_theirs:
            raise UserError(f"{source}: has {num_theirs} classes, but {ORDER_KEY} {order} lists {len(names)}")
        return RowOrder(names, told_by)
    if translation.origin == "own":
        names = translation.class_names
        if names is not None and len(names) != num_theirs:
            raise UserError(f"{source}: has {num_theirs} classes, but {len(names)} class names; the file is damaged")
        return RowOrder(names, "its own class names") if names else None
    name = implied_list(translation.origin, num_theirs, source)
    return RowOrder(rules.load_list(name), f"the order {name}", name) if name else None


def _drop(
    rules: HeadRules, translation: Translation, order: str, note: str, *, num_theirs: int, num_ours: int, source: str
) -> HeadPlan:
    """The classifier starts afresh: a warning if at least half of the classes of the smaller one are in the other."""
    ours = rules.class_names
    theirs = None if ours is None else _row_order(rules, translation, order, num_theirs, source)
    num_same = 0 if theirs is None else len(ours) - match_classes(ours, theirs.names, rules.class_key).count(None)
    if not num_same:
        return HeadPlan(None, note)
    note += f", although {num_same} of the {num_ours} classes have a row by name, by {theirs.told_by}"
    if 2 * num_same < min(num_ours, num_theirs):
        return HeadPlan(None, note)
    remedies = []
    if rules.resets_other_size and rules.reset_key and num_ours != num_theirs:
        remedies.append(f"{rules.reset_key} to False")
    if rules.order == "reset" or not remedies:
        # Of families without a key of their own, only a named order keeps a classifier of another size.
        listed = '""' if rules.reset_key else theirs.list_name or "a file of its class names"
        remedies.append(f"{ORDER_KEY} to {listed}")
    return HeadPlan(None, f"{note}; to map them, set {' and '.join(remedies)}", is_warning=True)


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


def _map_rows(rules: HeadRules, theirs: RowOrder, origin: str, source: str) -> HeadPlan:
    ours, told_by = rules.class_names, theirs.told_by
    rows = match_classes(ours, theirs.names, rules.class_key)
    fresh = [name for name, row in zip(ours, rows, strict=True) if row is None]
    if len(fresh) == len(ours) or (fresh and rules.is_test):
        names = ", ".join(fresh[:3]) + (f" and {len(fresh) - 3} more" if len(fresh) > 3 else "")
        remedy = "test with a checkpoint of these classes" if rules.is_test else f"set {ORDER_KEY} reset"
        raise UserError(
            f"{source}: by {told_by}, it has no class for {len(fresh)} of the {len(ours)} in DATA.CLASS_NAMES_FILE "
            f"({names}); correct DATA.CLASS_NAMES_FILE or {ORDER_KEY}, or {remedy}"
        )
    used = set(rows)
    unused = [name for idx, name in enumerate(theirs.names) if idx not in used]
    is_same = rows == list(range(len(theirs.names)))
    note = f"all {len(rows)} rows as they are" if is_same else f"{len(rows) - len(fresh)} rows mapped by name"
    note += f", by {told_by}"
    count = num_assumed(origin, theirs.list_name, rows)
    if count:
        note += (
            f", {count} of them assumed from MMAction2's list, because the authors did not publish their order; "
            f"{ORDER_KEY} {theirs.list_name} confirms it"
        )
    return HeadPlan(rows, note, fresh, unused, is_warning=count > 0)
