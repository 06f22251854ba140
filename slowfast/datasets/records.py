"""What passes between the stages of the data path."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
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
    """What a data loader asks the data set for; all random draws of a sample depend on it and the seed alone.

    Attributes:
        epoch, video_idx: 0-based.
        draw: how often the video has come before in this epoch; above 0 only where it comes several times.
    """

    epoch: int
    video_idx: int
    draw: int = 0


class FailedVideo(NamedTuple):
    """A video that could not be read, and why."""

    video_idx: int
    path: str
    cause: str


class Erasure(NamedTuple):
    """A rectangle of a clip that is overwritten once the clip is normalised.

    Attributes:
        rows, columns: of all its frames, in pixels.
        values: float32 that broadcasts to (C, T, rows, columns), normalised.
    """

    rows: slice
    columns: slice
    values: Tensor


class ErasedPlace(NamedTuple):
    """Where an erasure lies among the clips of a batch, and the shape of its values."""

    clip_idx: int
    rows: slice
    columns: slice
    shape: torch.Size


@dataclass(frozen=True)
class Erasures:
    """The erasures of a batch, with all values in one tensor: processes and devices get one, not one for each.

    Attributes:
        places: in order; later ones may lie over earlier ones.
        values: float32 (M,), of one place after the other.
    """

    places: tuple[ErasedPlace, ...] = ()
    values: Tensor = field(default_factory=partial(torch.empty, 0))

    @classmethod
    def of_clips(cls, erasures: Sequence[Sequence[Erasure]]) -> "Erasures":
        """Put together those of each clip."""
        numbered = [(idx, *one) for idx, own in enumerate(erasures) for one in own]
        if not numbered:
            return cls()
        places = tuple(ErasedPlace(idx, rows, columns, values.shape) for idx, rows, columns, values in numbered)
        return cls(places, torch.cat([values.flatten() for *_, values in numbered]))


class TruncatedVideo(NamedTuple):
    """A video that ends early and was read up to there, and how that is known."""

    video_idx: int
    path: str
    cause: str


class UnscoredVideo(NamedTuple):
    """A video that was read and for which the model gives no finite scores, and where."""

    video_idx: int
    path: str
    cause: str


class ResizedVideo(NamedTuple):
    """A video whose frames change their size midway, and how; they were scaled to the first one's."""

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
        erasures: of each view (training only).
        truncated: the video itself, if it ends early; None for a whole one.
        resized: the video itself, if its frames were scaled to one size; None if they have one.
    """

    views: Tensor
    label: int | tuple[int, ...]
    video_idx: int
    replaced: tuple[FailedVideo, ...] = ()
    erasures: tuple[tuple[Erasure, ...], ...] = ()
    truncated: TruncatedVideo | None = None
    resized: ResizedVideo | None = None


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
        erasures: of the clips (training); what the model takes is normalised and erased.
        truncated: videos among the N that end early.
        resized: videos among the N whose frames were scaled to one size.
    """

    clips: Tensor
    labels: Tensor
    video_idx: Tensor
    failed: tuple[FailedVideo, ...] = ()
    replaced: tuple[FailedVideo, ...] = ()
    erasures: Erasures = field(default_factory=Erasures)
    truncated: tuple[TruncatedVideo, ...] = ()
    resized: tuple[ResizedVideo, ...] = ()

    def to(self, device: torch.device) -> "Batch":
        """The same batch with clips, labels and erasures on the device."""
        return self._with_tensors(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory; the data loader calls this."""
        return self._with_tensors(Tensor.pin_memory)

    def _with_tensors(self, move: Callable[[Tensor], Tensor]) -> "Batch":
        erasures = replace(self.erasures, values=move(self.erasures.values))
        return replace(self, clips=move(self.clips), labels=move(self.labels), erasures=erasures)
