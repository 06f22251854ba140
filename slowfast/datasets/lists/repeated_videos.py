"""Which rows name a video that another row of the run names, too. Paths are compared as text; no file is looked at."""

import os
from collections.abc import Mapping, Sequence

import numpy as np

from slowfast.datasets.lists.record_table import RecordTable
from slowfast.datasets.records import VideoRecord

# Components of a path that another path to the same file may do without.
_UNCLEAN = ("//", "/./", "/../", "/\0", "\0./", "\0../", "/.\0", "/..\0")


def describe_repeats(lists: Mapping[str, Sequence[VideoRecord]]) -> list[str]:
    """One line for each list that names a video twice, and for each that names videos of ``train``.

    Rows of untrimmed videos are the same only if part and label are; other rows if the path is, whatever the labels.

    Args:
        lists: split to its rows, at least one; validation and test may be on one list.

    Returns:
        Lines for people, each with a count and the file:line of an example.
    """
    told: list[str] = []
    keys = {split: _path_keys(records) for split, records in lists.items()}
    for split, records in lists.items():
        if not _is_same_list(lists, split):
            told += _told_within(records, keys[split], split)
    for split, records in lists.items():
        if split != "train" and "train" in lists and not _is_same_list(lists, split):
            told += _told_between(lists["train"], records, keys["train"], keys[split], split)
    return told


def shared_path(records: Sequence[VideoRecord], others: Sequence[VideoRecord]) -> str:
    """The path of the first of ``records`` that ``others`` name, too; "" if there is none."""
    both = np.isin(_path_keys(records), _path_keys(others)).nonzero()[0]
    return records[int(both[0])].path if len(both) else ""


def _is_same_list(lists: Mapping[str, Sequence[VideoRecord]], split: str) -> bool:
    """Whether a list before this one is the same file."""
    source = getattr(lists[split], "source", None)
    before = list(lists)[: list(lists).index(split)]
    return source is not None and any(getattr(lists[other], "source", None) == source for other in before)


def _told_within(records: Sequence[VideoRecord], path_keys: np.ndarray, split: str) -> list[str]:
    keys = _row_keys(records, path_keys)
    order = np.argsort(keys, kind="stable")
    is_repeat = keys[order][1:] == keys[order][:-1]
    if not is_repeat.any():
        return []
    # The first row of each group of equal rows, for every row that comes after it.
    firsts = order[np.maximum.accumulate(np.where(np.r_[True, ~is_repeat], np.arange(len(order)), 0))][1:][is_repeat]
    repeats = order[1:][is_repeat]
    has_other_label = _labels_differ(records, repeats, firsts)
    at = np.lexsort((repeats, ~has_other_label))[0]  # the example: the first row with another label, if there is one
    row, first = int(repeats[at]), int(firsts[at])
    labels = f", with label {_label(records, first)} and here {_label(records, row)}" if has_other_label[at] else ""
    others = f", {has_other_label.sum()} of them with another label" if has_other_label.any() else ""
    return [
        f"{_where(records, row, split)}: {records[row].path} is in {_where(records, first, split, short=True)}, too"
        f"{labels}; in all, {len(repeats)} of {len(records)} rows name a video again{others}, and count as further ones"
    ]


def _told_between(
    train: Sequence[VideoRecord],
    records: Sequence[VideoRecord],
    train_keys: np.ndarray,
    keys: np.ndarray,
    split: str,
) -> list[str]:
    rows = np.flatnonzero(np.isin(keys, train_keys))
    if not len(rows):
        return []
    row = int(rows[0])
    trained = int(np.flatnonzero(train_keys == keys[row])[0])
    return [
        f"{_where(records, row, split)}: {records[row].path} is trained on, too, in {_where(train, trained, 'train')}; "
        f"in all, {len(rows)} of {len(records)} rows of {split} name a training video"
    ]


def _path_keys(records: Sequence[VideoRecord]) -> np.ndarray:
    """int64 (N,): equal for equal files, as far as their paths tell. Of a million others, none meet by chance."""
    if not isinstance(records, RecordTable):
        return np.fromiter((hash(os.path.abspath(record.path)) for record in records), np.int64, len(records))
    root = os.path.join(os.path.abspath(records.prefix), "")
    blocks = [
        np.fromiter((hash(path) for path in _below(root, block)), np.int64, len(block))
        for block in records.path_blocks()
    ]
    return np.concatenate(blocks)


def _below(root: str, paths: list[str]) -> list[str]:
    """Paths from the root of the file system on; what lies in a folder is named from there in every list of a run."""
    joined = f"\0{chr(0).join(paths)}\0"
    if any(part in joined for part in _UNCLEAN):
        return [os.path.abspath(os.path.join(root, path)) for path in paths]
    if "\0/" in joined:
        return [os.path.join(root, path) for path in paths]
    return [root + path for path in paths]


def _row_keys(records: Sequence[VideoRecord], path_keys: np.ndarray) -> np.ndarray:
    """int64 (N,): equal for rows that are the same."""
    if isinstance(records, RecordTable) and "spans" not in records.arrays:
        return path_keys
    if len(records) == 0 or records[0].total_s is None:
        return path_keys
    rows = zip(path_keys.tolist(), records, strict=True)
    return np.fromiter((hash((key, *record[1:])) for key, record in rows), np.int64, len(records))


def _labels_differ(records: Sequence[VideoRecord], rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """bool (M,): whether each row has another label than the other one."""
    if isinstance(records, RecordTable) and not records.is_multi_label:
        return records.labels[rows] != records.labels[others]
    pairs = zip(rows.tolist(), others.tolist(), strict=True)
    return np.fromiter((records[one].label != records[other].label for one, other in pairs), bool, len(rows))


def _label(records: Sequence[VideoRecord], row: int) -> str:
    label = records[row].label
    return ";".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _where(records: Sequence[VideoRecord], row: int, split: str, *, short: bool = False) -> str:
    """file:line of a row, or what there is in its place."""
    if isinstance(records, RecordTable):
        where = records.where(row)
        return f"line {where.rpartition(':')[2]}" if short and "lines" in records.arrays else where
    return f"row {row + 1}" if short else f"{split} list, row {row + 1}"
