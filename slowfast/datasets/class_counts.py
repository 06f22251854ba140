"""How many videos of a list show each class."""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from slowfast.datasets.lists.record_table import ChainedRecords, RecordTable
from slowfast.datasets.records import VideoRecord


def class_labels(records: Sequence[VideoRecord]) -> np.ndarray:
    """int64: the labels of all rows, one after the other; (N,) where each row has one."""
    if isinstance(records, RecordTable):  # a million labels at once
        return records.labels
    if isinstance(records, ChainedRecords):
        return np.concatenate([class_labels(part) for part in records.parts])
    labels = (record.label if isinstance(record.label, tuple) else (record.label,) for record in records)
    return np.fromiter(chain.from_iterable(labels), np.int64)


def class_counts(records: Sequence[VideoRecord], num_classes: int) -> np.ndarray:
    """int64 (K,): videos of each class; one of several labels counts for each of them.

    Args:
        records: with labels in [0, num_classes).
        num_classes: classes (K).
    """
    return np.bincount(class_labels(records), minlength=num_classes)
