"""A list of videos, and what its videos need to become clips."""

from collections.abc import Sequence
from dataclasses import dataclass

from slowfast.datasets.reading.source import FrameSource, SourceOpener, VideoReadError
from slowfast.datasets.records import VideoRecord
from slowfast.datasets.sampling import FrameSampler


@dataclass(frozen=True, kw_only=True)
class VideoList:
    """The videos of one list; they have one kind of source, and are sampled alike.

    Attributes:
        records: paths and labels.
        open_source: opens a video.
        sampler: chooses the frames of a clip.
        may_flip: a video flipped left to right still shows its class.
        class_names: in the order of the labels; None if nothing tells them.
    """

    records: Sequence[VideoRecord]
    open_source: SourceOpener
    sampler: FrameSampler
    may_flip: bool = True
    class_names: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.records)


def open_video(open_source: SourceOpener, record: VideoRecord) -> FrameSource:
    """Open the video of a record: by its path, and a folder of frames also by their number.

    Raises:
        VideoReadError: if it cannot be opened, or has no frames.
    """
    video = open_source(record.path) if record.num_frames is None else open_source(record.path, record.num_frames)
    if video.num_frames < 1:
        video.close()
        raise VideoReadError("it has no frames")
    return video
