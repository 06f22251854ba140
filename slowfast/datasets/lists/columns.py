"""Many rows of a list at once, column by column: the fast form of what ``ListForm.to_record`` makes of one row."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from slowfast.datasets.records import LABEL_JOINT, VideoRecord

MAX_INT32 = 2**31 - 1


class Columns(NamedTuple):
    """Some rows of a list.

    Attributes:
        paths: (N,) as the list has them.
        labels: int64 (N,); in a multi-label run (M,), those of one row after the other, ascending within each.
        label_counts: int64 (N,), labels of each row; None where each has one.
        num_frames: int64 (N,), or None.
        spans: float64 (N, 3) of total_s, start_s and end_s, or None.
    """

    paths: Sequence[str]
    labels: np.ndarray
    label_counts: np.ndarray | None = None
    num_frames: np.ndarray | None = None
    spans: np.ndarray | None = None


# What the converters below raise for rows that ``to_record`` has to look at, one by one.
NotPlain = (ValueError, OverflowError)


def path_label_columns(fields: Sequence[Sequence[str]]) -> Columns:
    """Columns of texts to rows of path and label."""
    paths, labels = fields
    return Columns(paths, _integers(labels))


def path_labels_columns(fields: Sequence[Sequence[str]]) -> Columns:
    """Columns of texts to rows of path and joined labels."""
    paths, texts = fields
    if any(path.endswith(LABEL_JOINT) for path in paths):
        raise ValueError
    labels = _integers(LABEL_JOINT.join(texts).split(LABEL_JOINT))
    counts = _integers([text.count(LABEL_JOINT) + 1 for text in texts])
    rows = np.repeat(np.arange(len(texts)), counts)
    labels = labels[np.lexsort((labels, rows))]
    if np.any((labels[1:] == labels[:-1]) & (rows[1:] == rows[:-1])):
        raise ValueError
    return Columns(paths, labels, label_counts=counts)


def frame_folder_columns(fields: Sequence[Sequence[str]]) -> Columns:
    """Columns of texts to rows of folder, number of frames and label."""
    paths, num_frames, labels = fields[0], _integers(fields[1]), fields[2]
    if num_frames.min() < 1 or num_frames.max() > MAX_INT32:
        raise ValueError
    return Columns(paths, _integers(labels), num_frames=num_frames)


def time_span_columns(fields: Sequence[Sequence[str]]) -> Columns:
    """Columns of texts to rows of path, seconds and label."""
    paths, *seconds, labels = fields
    spans = np.stack([np.fromiter(map(float, texts), np.float64, len(texts)) for texts in seconds], axis=1)
    total_s, start_s, end_s = spans.T
    if not np.all(np.isfinite(spans).all(axis=1) & (start_s >= 0) & (start_s < total_s) & (start_s < end_s)):
        raise ValueError
    return Columns(paths, _integers(labels), spans=spans)


def record_columns(records: Sequence[VideoRecord]) -> Columns:
    """Records of one form, at least one, to columns."""
    first = records[0]
    is_multi_label = isinstance(first.label, tuple)
    labels = [label for record in records for label in record.label] if is_multi_label else [r.label for r in records]
    return Columns(
        [record.path for record in records],
        _integers(labels),
        label_counts=_integers([len(record.label) for record in records]) if is_multi_label else None,
        num_frames=None if first.num_frames is None else _integers([record.num_frames for record in records]),
        spans=None if first.total_s is None else np.array([record.span for record in records], np.float64),
    )


def _integers(values: Sequence[str] | Sequence[int]) -> np.ndarray:
    """int64 (N,) of numbers or their texts."""
    return np.fromiter(map(int, values), np.int64, len(values))
