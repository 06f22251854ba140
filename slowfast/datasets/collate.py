"""Samples to a batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from slowfast.datasets.records import Batch, Erasures, FailedVideo, Sample


def label_tensor(labels: Sequence[int | tuple[int, ...]], num_classes: int | None = None) -> Tensor:
    """Labels as losses and accuracies take them.

    Args:
        labels: of N records; tuples in a multi-label run.
        num_classes: K of a multi-label run, else None.

    Returns:
        int64 (N,), or float32 (N, K) with 1 for each class that a video shows and else 0.
    """
    if num_classes is None:
        return torch.tensor(labels, dtype=torch.int64)
    shown = torch.zeros(len(labels), num_classes)
    for row, classes in zip(shown, labels, strict=True):
        row[list(classes)] = 1.0
    return shown


def collate(
    samples: Sequence[Sample | FailedVideo], *, has_label_per_view: bool = False, num_classes: int | None = None
) -> Batch:
    """Concatenate the views of all readable videos and list the others; a batch may be empty of clips.

    Args:
        samples: one per video.
        has_label_per_view: give every view the label of its video, as training needs it; otherwise one label per video.
        num_classes: K of a multi-label run, else None.
    """
    good = [sample for sample in samples if isinstance(sample, Sample)]
    labelled = [sample for sample in good for _ in range(len(sample.views) if has_label_per_view else 1)]
    return Batch(
        clips=torch.cat([sample.views for sample in good]) if good else torch.empty(0, dtype=torch.uint8),
        labels=label_tensor([sample.label for sample in labelled], num_classes),
        video_idx=torch.tensor([sample.video_idx for sample in labelled], dtype=torch.int64),
        failed=tuple(sample for sample in samples if isinstance(sample, FailedVideo)),
        replaced=tuple(failure for sample in good for failure in sample.replaced),
        erasures=Erasures.of_clips([own for sample in good for own in sample.erasures]),
        truncated=tuple(sample.truncated for sample in good if sample.truncated is not None),
        resized=tuple(sample.resized for sample in good if sample.resized is not None),
    )
