"""Samples to a batch."""

from collections.abc import Sequence

import torch

from slowfast.datasets.records import Batch, FailedVideo, Sample


def collate(samples: Sequence[Sample | FailedVideo]) -> Batch:
    """Concatenate the views of all readable videos and list the others; a batch may be empty of clips."""
    good = [sample for sample in samples if isinstance(sample, Sample)]
    return Batch(
        clips=torch.cat([sample.views for sample in good]) if good else torch.empty(0, dtype=torch.uint8),
        labels=torch.tensor([sample.label for sample in good], dtype=torch.int64),
        video_idx=torch.tensor([sample.video_idx for sample in good], dtype=torch.int64),
        failed=tuple(sample for sample in samples if isinstance(sample, FailedVideo)),
        replaced=tuple(failure for sample in good for failure in sample.replaced),
    )
