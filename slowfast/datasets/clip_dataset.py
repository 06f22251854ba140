"""The only data set: sample frame indices, read them, transform."""

from bisect import bisect
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, pairwise, zip_longest
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from slowfast.config.plugins import PicklesWithPlugins
from slowfast.datasets.lists.record_table import ChainedRecords
from slowfast.datasets.lists.video_list import VideoList, open_video
from slowfast.datasets.reading.source import FrameSource, SourceOpener, VideoReadError
from slowfast.datasets.reading.time_limit import call_within
from slowfast.datasets.records import Erasure, FailedVideo, ResizedVideo, Sample, SampleKey, TruncatedVideo, VideoRecord
from slowfast.datasets.sampling import FrameSampler
from slowfast.datasets.transforms.pipeline import EvalTransform, TrainTransform
from slowfast.datasets.transforms.random_erasing import RandomErasing
from slowfast.errors import UserError

# How many videos are drawn in place of an unreadable one before the sample counts as failed.
MAX_DRAWS = 10


class ReadFrames(NamedTuple):
    """Frames of a video, and what is to be said of it.

    Attributes:
        frames: uint8 (T, C, H, W), in channels-last memory.
        truncated: why the video ends early; "" for a whole one.
        resized: how its frames change their size; "" if they do not.
    """

    frames: Tensor
    truncated: str
    resized: str


def read_frames(
    open_source: SourceOpener,
    record: VideoRecord,
    choose: Callable[[int], list[int]],
    *,
    timeout_s: float | None = None,
    channel_order: str = "rgb",
) -> ReadFrames:
    """Open a video, choose frame indices knowing its length, and read them.

    Args:
        open_source: of the video's list.
        record: the video.
        choose: number of frames in the video to wanted indices.
        timeout_s: how long opening may take, and how long reading; None for any time.
        channel_order: rgb, as sources give frames, or bgr.

    Returns:
        T = len(indices) frames, C in the order of ``channel_order``.

    Raises:
        VideoReadError: if the video cannot be read, or not in time.
    """
    try:
        video = call_within(timeout_s, open_video, open_source, record)
        frames = call_within(timeout_s, _read_and_close, video, choose(video.num_frames))
    except TimeoutError:
        raise VideoReadError(f"was not read within DATA_LOADER.VIDEO_TIMEOUT_S {timeout_s:g}") from None
    if channel_order == "bgr":
        frames = torch.stack(frames.unbind(-1)[::-1], dim=-1)  # ten times as fast as flip
    return ReadFrames(frames.permute(0, 3, 1, 2), video.truncated, video.resized)


def _read_and_close(video: FrameSource, indices: list[int]) -> Tensor:
    with video:
        return video.read(indices)


class _ClipDataset(PicklesWithPlugins, Dataset):
    """What training and evaluation share.

    Args:
        lists: one or several; videos are numbered through all of them, in order, and each keeps its list's source,
            sampler and flips.
        timeout_s: how long opening or reading a video may take; None for any time.
        channel_order: of all clips, rgb or bgr; what is transformed has it already.

    Raises:
        UserError: if there is no list, or lists differ in their classes.
    """

    def __init__(
        self, lists: Sequence[VideoList], *, timeout_s: float | None = None, channel_order: str = "rgb"
    ) -> None:
        if not lists:
            raise UserError("a data set needs at least one list of videos, and there is none")
        self.lists = tuple(lists)
        _check_classes(self.lists)
        self.timeout_s = timeout_s
        self.channel_order = channel_order
        records = [each.records for each in self.lists]
        self.records = records[0] if len(records) == 1 else ChainedRecords(records)
        self._ends = list(accumulate(map(len, self.lists)))

    def __len__(self) -> int:
        return len(self.records)

    def list_of(self, video_idx: int) -> VideoList:
        """The list that a video comes from."""
        return self.lists[bisect(self._ends, video_idx)]

    def _read(self, video_idx: int, choose: Callable[[int], list[int]]) -> ReadFrames:
        """Frames of a video, as ``read_frames`` gives them."""
        source, record = self.list_of(video_idx).open_source, self.records[video_idx]
        return read_frames(source, record, choose, timeout_s=self.timeout_s, channel_order=self.channel_order)


def _check_classes(lists: Sequence[VideoList]) -> None:
    """Labels of lists that are put together mean the same classes, as far as the lists tell."""
    named = [(number, each.class_names) for number, each in enumerate(lists, 1) if each.class_names is not None]
    for (one, names), (other, other_names) in pairwise(named):
        for label, pair in enumerate(zip_longest(names, other_names)):
            if pair[0] != pair[1]:
                raise UserError(
                    f"class {label} is {pair[0]!r} in list {one} and {pair[1]!r} in list {other}; lists that are put "
                    f"together need the same classes in the same order"
                )


class TrainClipDataset(_ClipDataset):
    """One random choice of frames per video, augmented one or more times (repeated augmentation, arXiv 1901.09335).

    An unreadable video is replaced by another, and named in the sample. All draws of repeat r depend on
    (seed, epoch, video_idx, r) alone, so that neither workers nor ranks change the clips; where a video comes again in
    an epoch, its repeats are numbered on.

    Args:
        transform: augmentation.
        seed: of all draws.
        erasing: draws what is erased of each clip once it is normalised; None for nothing.
        num_repeats: clips per video; they show the same frames, which are read once.
    """

    def __init__(
        self,
        lists: Sequence[VideoList],
        *,
        transform: TrainTransform,
        seed: int,
        erasing: RandomErasing | None = None,
        num_repeats: int = 1,
        timeout_s: float | None = None,
        channel_order: str = "rgb",
    ) -> None:
        super().__init__(lists, timeout_s=timeout_s, channel_order=channel_order)
        self.transform = transform
        self.seed = seed
        self.erasing = erasing
        self.num_repeats = num_repeats

    def __getitem__(self, key: SampleKey) -> Sample | FailedVideo:
        """The clips of ``key.video_idx`` in epoch ``key.epoch``: views uint8 (num_repeats, C, T, H, W)."""
        # To NumPy (a, b, c) and (a, b, c, 0) are the same seed. The first repeat's generator therefore chooses the
        # frames, too, and goes on from there; one of (seed, epoch, video_idx) would draw the same numbers again.
        numbers = range(key.draw * self.num_repeats, (key.draw + 1) * self.num_repeats)
        rngs = [np.random.default_rng((self.seed, key.epoch, key.video_idx, r)) for r in numbers]
        rng = rngs[0]
        video_idx = key.video_idx
        failures: list[FailedVideo] = []
        for _ in range(MAX_DRAWS):
            record, own_list = self.records[video_idx], self.list_of(video_idx)
            try:
                choose = partial(_draw_indices, own_list.sampler, record, rng)
                frames, truncated, resized = self._read(video_idx, choose)
            except VideoReadError as error:
                failures.append(FailedVideo(video_idx, record.path, str(error)))
                video_idx = int(rng.integers(len(self.records)))
                continue
            transform = partial(self.transform, frames, may_flip=own_list.may_flip)
            # (C, T, H, W) each.
            clips = [transform(repeat_rng).transpose(0, 1).contiguous() for repeat_rng in rngs]
            erasures = tuple(self._draw_erasures(clip, rng) for clip, rng in zip(clips, rngs, strict=True))
            cut = TruncatedVideo(video_idx, record.path, truncated) if truncated else None
            scaled = ResizedVideo(video_idx, record.path, resized) if resized else None
            return Sample(torch.stack(clips), record.label, video_idx, tuple(failures), erasures, cut, scaled)
        return failures[0]

    def _draw_erasures(self, clip: Tensor, rng: np.random.Generator) -> tuple[Erasure, ...]:
        return () if self.erasing is None else self.erasing.draw(clip.shape, rng)


def _draw_indices(
    sampler: FrameSampler, record: VideoRecord, rng: np.random.Generator, num_video_frames: int
) -> list[int]:
    """Frames of one training clip: of the whole video, or of the part that the record names."""
    arguments = {} if record.span is None else {"span": record.span}
    return sampler(num_video_frames=num_video_frames, view_idx=None, num_views=1, rng=rng, **arguments)


class EvalClipDataset(_ClipDataset):
    """All views of a video from one pass over it: each frame is decoded and resized once.

    Args:
        transform: resize and spatial crops.
        num_temporal_views: clips per video; view v of a sample is clip v // crops, crop v % crops.
    """

    def __init__(
        self,
        lists: Sequence[VideoList],
        *,
        transform: EvalTransform,
        num_temporal_views: int = 1,
        timeout_s: float | None = None,
        channel_order: str = "rgb",
    ) -> None:
        super().__init__(lists, timeout_s=timeout_s, channel_order=channel_order)
        self.transform = transform
        self.num_temporal_views = num_temporal_views

    @property
    def num_views(self) -> int:
        """Views per video: temporal clips times spatial crops."""
        return self.num_temporal_views * len(self.transform.spatial_idxs)

    def __getitem__(self, key: SampleKey) -> Sample | FailedVideo:
        """The views of ``key.video_idx``: uint8 (num_views, C, T, H, W); never another video's."""
        record, own_list = self.records[key.video_idx], self.list_of(key.video_idx)
        clips: list[list[int]] = []
        needed: list[int] = []

        def choose(num_video_frames: int) -> list[int]:
            for view_idx in range(self.num_temporal_views):
                clips.append(
                    own_list.sampler(
                        num_video_frames=num_video_frames,
                        view_idx=view_idx,
                        num_views=self.num_temporal_views,
                        rng=None,
                    )
                )
            needed.extend(sorted({idx for clip in clips for idx in clip}))
            return needed

        try:
            frames, truncated, resized = self._read(key.video_idx, choose)
        except VideoReadError as error:
            return FailedVideo(key.video_idx, record.path, str(error))
        crops = self.transform(frames)  # (crops, frames, C, H, W)
        position = {frame_idx: i for i, frame_idx in enumerate(needed)}
        views = torch.stack([crops[:, [position[idx] for idx in clip]] for clip in clips])
        views = views.flatten(0, 1).transpose(1, 2).contiguous()  # (V, C, T, H, W)
        cut = TruncatedVideo(key.video_idx, record.path, truncated) if truncated else None
        scaled = ResizedVideo(key.video_idx, record.path, resized) if resized else None
        return Sample(views, record.label, key.video_idx, truncated=cut, resized=scaled)
