"""What passes between the stages of the data path."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

LABEL_JOINT = ";"  # between the labels of one video in a list


class TimeSpan(NamedTuple):
    """The part of an untrimmed video that shows its class; all in seconds."""

    total_s: float
    start_s: float
    end_s: float


class VideoRecord(NamedTuple):
    """One row of a list file.

    Attributes:
        path: of a video file or a folder of frames.
        label: 0-based class; in a multi-label run the classes that the video shows, distinct and ascending.
        num_frames: in a folder of frames; None for a video file, which tells it itself.
        total_s, start_s, end_s: length of an untrimmed video and the part that shows the class; None for a trimmed one.
    """

    path: str
    label: int | tuple[int, ...]
    num_frames: int | None = None
    total_s: float | None = None
    start_s: float | None = None
    end_s: float | None = None

    @property
    def span(self) -> TimeSpan | None:
        """Where training samples; None for the whole video."""
        return None if self.total_s is None else TimeSpan(self.total_s, self.start_s, self.end_s)


class SampleKey(NamedTuple):
    """What a data loader asks the data set for; all random draws of a sample depend on it and the seed alone."""

    epoch: int
    video_idx: int


class FailedVideo(NamedTuple):
    """A video that could not be read, and why."""

    video_idx: int
    path: str
    cause: str


@dataclass(frozen=True)
class Sample:
    """All views of one video.

    Attributes:
        views: uint8 (V, C, T, H, W); V is 1 in validation, and the number of repeats in training.
        label: of the video's record.
        video_idx: row of the list file, 0-based.
        replaced: videos that could not be read and that this one stands for (training only).
    """

    views: Tensor
    label: int | tuple[int, ...]
    video_idx: int
    replaced: tuple[FailedVideo, ...] = ()


@dataclass(frozen=True)
class Batch:
    """Samples of one step.

    Attributes:
        clips: uint8 (N * V, C, T, H, W), the views of a video one after the other; V is 1 in training.
        labels: int64 (N,); in a multi-label run float32 (N, K), 1 for each class that a video shows and else 0. In
            training every clip has its own, and N counts clips, not videos.
        video_idx: int64 (N,), rows of the list file.
        failed: videos of this batch that could not be read (testing); they are not among the N.
        replaced: videos for which others were drawn (training).
    """

    clips: Tensor
    labels: Tensor
    video_idx: Tensor
    failed: tuple[FailedVideo, ...] = ()
    replaced: tuple[FailedVideo, ...] = field(default=())

    def to(self, device: torch.device) -> "Batch":
        """The same batch with clips and labels on the device."""
        return Batch(
            self.clips.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            self.video_idx,
            self.failed,
            self.replaced,
        )

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory; the data loader calls this."""
        return Batch(self.clips.pin_memory(), self.labels.pin_memory(), self.video_idx, self.failed, self.replaced)
