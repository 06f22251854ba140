"""Samples to a batch."""

from collections.abc import Sequence

import torch

from slowfast.datasets.records import Batch, FailedVideo, Sample


def collate(samples: Sequence[Sample | FailedVideo], *, has_label_per_view: bool = False) -> Batch:
    """Concatenate the views of all readable videos and list the others; a batch may be empty of clips.

    Args:
        samples: one a video.
        has_label_per_view: give every view the label of its video, as training needs it; otherwise one label a video.
    """
    good = [sample for sample in samples if isinstance(sample, Sample)]
    labelled = [sample for sample in good for _ in range(len(sample.views) if has_label_per_view else 1)]
    return Batch(
        clips=torch.cat([sample.views for sample in good]) if good else torch.empty(0, dtype=torch.uint8),
        labels=torch.tensor([sample.label for sample in labelled], dtype=torch.int64),
        video_idx=torch.tensor([sample.video_idx for sample in labelled], dtype=torch.int64),
        failed=tuple(sample for sample in samples if isinstance(sample, FailedVideo)),
        replaced=tuple(failure for sample in good for failure in sample.replaced),
    )
