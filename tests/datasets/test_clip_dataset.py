"""Samples: what training draws, the views of a test from one pass over a video, and unreadable videos."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from slowfast.datasets.clip_dataset import MAX_DRAWS, EvalClipDataset, TrainClipDataset
from slowfast.datasets.lists.video_list import VideoList
from slowfast.datasets.reading.source import SourceOpener
from slowfast.datasets.reading.video_reader import VideoReader
from slowfast.datasets.records import FailedVideo, Sample, SampleKey, VideoRecord
from slowfast.datasets.sampling import FrameSampler, dense_indices, sparse_indices
from slowfast.datasets.transforms.pipeline import EvalTransform, TrainTransform
from tests.videos import number_of, write_video

CLIP_LEN, SIZE = 4, 16
SPARSE = partial(sparse_indices, clip_len=CLIP_LEN)
DENSE = partial(dense_indices, clip_len=CLIP_LEN, stride=2)
# A crop that moves and flips, so that a clip tells what was drawn for it.
CROPS = TrainTransform(
    size=SIZE, area_range=(0.5, 1.0), aspect_range=(0.8, 1.25), short_side_range=(16, 20), flip_prob=0.5
)
# The whole frame, so that a clip tells its frames.
WHOLE = TrainTransform(
    size=SIZE, area_range=(1.0, 1.0), aspect_range=(1.0, 1.0), short_side_range=(16, 16), flip_prob=0.0
)


class CountingReader:
    """Opens videos and keeps count of it."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.reads: list[list[int]] = []

    def __call__(self, path: str) -> VideoReader:
        self.opened.append(path)
        video = VideoReader(path)
        read = video.read

        def counted(indices: Sequence[int]) -> Tensor:
            self.reads.append(list(indices))
            return read(indices)

        video.read = counted
        return video


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[VideoRecord]:
    """Five videos of 40 frames, of which 1 and 3 cannot be read; video i shows numbers from 100 i on, label 10 + i."""
    root = tmp_path_factory.mktemp("videos")
    for i in (0, 2, 4):
        write_video(root / f"{i}.mp4", 40, first_number=100 * i)
    (root / "1.mp4").write_text("no video")
    return [VideoRecord(str(root / f"{i}.mp4"), 10 + i) for i in range(5)]


def video_list(
    records: list[VideoRecord], open_source: SourceOpener = VideoReader, sampler: FrameSampler = SPARSE, **arguments
) -> VideoList:
    return VideoList(records=records, open_source=open_source, sampler=sampler, **arguments)


def train_dataset(
    records: list[VideoRecord],
    *,
    open_source: SourceOpener = VideoReader,
    transform: TrainTransform = CROPS,
    **arguments,
) -> TrainClipDataset:
    return TrainClipDataset([video_list(records, open_source)], **{"transform": transform, "seed": 5, **arguments})


def eval_dataset(records: list[VideoRecord], *, views: int, crops: Sequence[int], **arguments) -> EvalClipDataset:
    transform = EvalTransform(size=SIZE, spatial_idxs=crops)
    return EvalClipDataset([video_list(records, **arguments)], transform=transform, num_temporal_views=views)


def numbers(view: Tensor) -> list[int]:
    """The numbers that the frames of a view (C, T, H, W) show."""
    return [number_of(frame) for frame in view.permute(1, 2, 3, 0).numpy()]


# Training


def test_a_training_sample_shows_the_drawn_frames_in_order(records: list[VideoRecord]):
    dataset = train_dataset(records, transform=WHOLE)
    sample = dataset[SampleKey(3, 2)]
    assert sample.views.shape == (1, 3, CLIP_LEN, SIZE, SIZE) and sample.views.dtype == torch.uint8
    assert (sample.label, sample.video_idx, sample.replaced) == (12, 2, ())
    expected = sparse_indices(40, CLIP_LEN, None, rng=np.random.default_rng((5, 3, 2)))
    assert numbers(sample.views[0]) == [200 + idx for idx in expected]


def test_a_training_sample_depends_on_seed_epoch_and_video_alone(records: list[VideoRecord]):
    dataset = train_dataset(records)
    first = dataset[SampleKey(0, 2)].views
    for key in (SampleKey(1, 0), SampleKey(0, 4), SampleKey(7, 2)):
        assert not torch.equal(dataset[key].views, first)
    np.random.seed(9)
    torch.manual_seed(9)
    assert torch.equal(dataset[SampleKey(0, 2)].views, first)
    assert torch.equal(train_dataset(records)[SampleKey(0, 2)].views, first)
    assert not torch.equal(train_dataset(records, seed=6)[SampleKey(0, 2)].views, first)


def test_an_unreadable_training_video_is_replaced_and_named(records: list[VideoRecord]):
    dataset = train_dataset(records, transform=WHOLE)
    seen = set()
    for epoch in range(10):
        sample = dataset[SampleKey(epoch, 1)]
        assert isinstance(sample, Sample)
        # Everything belongs to the video that stands in: frames, label and place in the list.
        assert sample.video_idx in (0, 2, 4) and sample.label == 10 + sample.video_idx
        assert numbers(sample.views[0])[0] // 100 == sample.video_idx
        assert sample.replaced[0] == FailedVideo(1, records[1].path, "Invalid data found when processing input")
        assert {failure.video_idx for failure in sample.replaced} <= {1, 3}
        assert all(failure.path == records[failure.video_idx].path for failure in sample.replaced)
        seen.add(sample.video_idx)
        again = dataset[SampleKey(epoch, 1)]
        assert torch.equal(again.views, sample.views) and again.replaced == sample.replaced
    assert len(seen) > 1  # drawn, not always the same neighbour


def test_replacing_ends_where_nothing_can_be_read(records: list[VideoRecord]):
    reader = CountingReader()
    sample = train_dataset([records[3], records[1]], open_source=reader)[SampleKey(0, 0)]
    assert sample == FailedVideo(0, records[3].path, "No such file or directory")
    assert len(reader.opened) == MAX_DRAWS


# Evaluation


@pytest.mark.parametrize("sampler", [SPARSE, DENSE], ids=["sparse", "dense"])
def test_a_video_is_decoded_once_for_all_its_views(records: list[VideoRecord], sampler: FrameSampler):
    reader = CountingReader()
    dataset = eval_dataset(records, views=4, crops=(0, 1, 2), sampler=sampler, open_source=reader)
    sample = dataset[SampleKey(0, 2)]
    assert dataset.num_views == 12 and sample.views.shape == (12, 3, CLIP_LEN, SIZE, SIZE)
    assert reader.opened == [records[2].path]
    (indices,) = reader.reads
    assert indices == sorted(set(indices))  # in one pass, no frame twice
    clips = [sampler(40, view_idx=view_idx, num_views=4, rng=None) for view_idx in range(4)]
    assert set(indices) == {idx for clip in clips for idx in clip}
    assert [numbers(view) for view in sample.views[1::3]] == [[200 + idx for idx in clip] for clip in clips]


@pytest.mark.parametrize("sampler", [SPARSE, DENSE], ids=["sparse", "dense"])
@pytest.mark.parametrize(("height", "width"), [(32, 48), (48, 32), (20, 20)])
@pytest.mark.parametrize("num_frames", [1, 3, 37])
def test_views_are_what_evaluating_each_by_itself_gives(
    tmp_path: Path, sampler: FrameSampler, height: int, width: int, num_frames: int
):
    path = write_video(tmp_path / "video.mp4", num_frames, height=height, width=width)
    sample = eval_dataset([VideoRecord(str(path), 0)], views=4, crops=(0, 1, 2), sampler=sampler)[SampleKey(0, 0)]
    for view_idx in range(4):
        for spatial_idx in range(3):
            with VideoReader(path) as video:
                frames = video.read(sampler(video.num_frames, view_idx=view_idx, num_views=4, rng=None))
            crops = EvalTransform(size=SIZE, spatial_idxs=(spatial_idx,))(frames.permute(0, 3, 1, 2))
            view = sample.views[3 * view_idx + spatial_idx]
            assert torch.equal(view, crops[0].transpose(0, 1))


def test_an_evaluation_sample_is_the_same_in_every_epoch(records: list[VideoRecord]):
    dataset = eval_dataset(records, views=2, crops=(1,))
    assert torch.equal(dataset[SampleKey(0, 4)].views, dataset[SampleKey(8, 4)].views)


def test_an_unreadable_test_video_is_reported_and_never_replaced(records: list[VideoRecord]):
    reader = CountingReader()
    dataset = eval_dataset(records, views=2, crops=(0, 1, 2), open_source=reader)
    assert dataset[SampleKey(0, 3)] == FailedVideo(3, records[3].path, "No such file or directory")
    assert dataset[SampleKey(0, 1)] == FailedVideo(1, records[1].path, "Invalid data found when processing input")
    assert reader.opened == [records[3].path, records[1].path]
