"""Several lists in one data set: each video keeps its list's source, sampler, flips and classes."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from fvcore.common.config import CfgNode

from slowfast.config import load_config
from slowfast.datasets import build_dataset, build_eval_dataset, build_list, build_loader, build_train_dataset
from slowfast.datasets.clip_dataset import EvalClipDataset, TrainClipDataset
from slowfast.datasets.lists.video_list import VideoList
from slowfast.datasets.reading.frame_reader import FrameFolderReader
from slowfast.datasets.reading.video_reader import VideoReader
from slowfast.datasets.records import FailedVideo, Sample, SampleKey, VideoRecord
from slowfast.datasets.sampling import dense_indices, sparse_indices
from slowfast.datasets.transforms.pipeline import EvalTransform, TrainTransform
from slowfast.errors import UserError
from tests.videos import number_of, write_frames

TINY = Path(__file__).parents[1] / "tiny.yaml"
WHOLE = TrainTransform(
    size=16, area_range=(1.0, 1.0), aspect_range=(1.0, 1.0), short_side_range=(16, 16), flip_prob=0.0
)
NUM_FILES = 8  # of 8 frames each, in video_set's training list; file i shows numbers from 32 * i on


@pytest.fixture
def files(video_set: Path) -> VideoList:
    return build_list(config(video_set), "train")


@pytest.fixture
def folders(tmp_path: Path) -> VideoList:
    """Three folders of 9 frames, sampled densely; folder i shows numbers from 5000 + 100 * i on."""
    for i in range(3):
        write_frames(tmp_path / f"f{i}", 9, first_number=5000 + 100 * i)
    return VideoList(
        records=[VideoRecord(str(tmp_path / f"f{i}"), 1, num_frames=9) for i in range(3)],
        open_source=FrameFolderReader,
        sampler=partial(dense_indices, clip_len=2, stride=3),
        may_flip=False,
    )


def config(video_set: Path, *overrides: object) -> CfgNode:
    folder = ("DATA.PATH_TO_DATA_DIR", str(video_set), "DATA.PATH_PREFIX", str(video_set))
    return load_config(TINY, [*folder, *overrides])


def numbers(sample: Sample) -> list[int]:
    return [number_of(frame) for frame in sample.views[0].permute(1, 2, 3, 0)]


def test_a_catalog_entry_builds_a_list_of_what_its_videos_need(video_set: Path):
    videos = build_list(config(video_set, "DATA.CLASS_NAMES_FILE", str(video_set / "classes.txt")), "val")
    assert [record.label for record in videos.records] == [0, 1, 0, 1] and len(videos) == 4
    assert videos.open_source is VideoReader and videos.sampler.func is sparse_indices
    assert videos.may_flip and videos.class_names == ["class 0", "class 1"]
    assert build_list(config(video_set), "val").class_names is None


def test_training_on_files_and_frame_folders_reads_and_samples_each_as_its_list_does(
    files: VideoList, folders: VideoList
):
    dataset = TrainClipDataset([files, folders], transform=WHOLE, seed=3)
    assert len(dataset) == NUM_FILES + 3 and dataset.records == [*files.records, *folders.records]
    assert [dataset.list_of(idx) for idx in (0, 7, 8, 10)] == [files, files, folders, folders]
    for idx in range(NUM_FILES):
        sample = dataset[SampleKey(0, idx)]
        assert (sample.video_idx, sample.label) == (idx, idx % 2)
        assert all(number // 32 == idx for number in numbers(sample))
    for idx in range(3):
        sample = dataset[SampleKey(0, NUM_FILES + idx)]
        assert (sample.video_idx, sample.label) == (NUM_FILES + idx, 1)
        first, second = numbers(sample)
        assert first // 100 == 50 + idx and second - first in (4, 5)  # spread over 2 * 3 frames


def test_a_list_in_front_draws_as_it_does_alone(files: VideoList, folders: VideoList, video_set: Path):
    cfg = config(video_set, "AUG.ENABLE", True, "AUG.NUM_SAMPLE", 2)
    both, alone = build_train_dataset(cfg, [files, folders]), build_dataset(cfg, "train")
    for key in (SampleKey(0, 0), SampleKey(4, 7)):
        assert torch.equal(both[key].views, alone[key].views)


def test_an_unreadable_video_is_replaced_by_one_of_any_list(files: VideoList, folders: VideoList):
    gone = replace(folders, records=[*folders.records, VideoRecord("/no/folder", 0, num_frames=9)])
    dataset = TrainClipDataset([files, gone], transform=WHOLE, seed=3)
    samples = [dataset[SampleKey(epoch, NUM_FILES + 3)] for epoch in range(12)]
    failure = FailedVideo(NUM_FILES + 3, "/no/folder", "No such file or directory")
    assert all(set(sample.replaced) == {failure} for sample in samples)
    assert {sample.video_idx < NUM_FILES for sample in samples} == {True, False}
    for sample in samples:
        assert (numbers(sample)[0] >= 5000) == (sample.video_idx >= NUM_FILES)


def test_only_videos_of_a_list_that_may_flip_are_flipped(files: VideoList):
    flipping = replace(WHOLE, flip_prob=1.0)
    both = TrainClipDataset([files, replace(files, may_flip=False)], transform=flipping, seed=3)
    never = TrainClipDataset([files, files], transform=WHOLE, seed=3)
    for idx in range(2 * NUM_FILES):
        flipped, plain = both[SampleKey(0, idx)].views, never[SampleKey(0, idx)].views
        assert torch.equal(flipped, plain.flip(-1) if idx < NUM_FILES else plain)


def test_a_loader_takes_a_data_set_of_two_lists(files: VideoList, folders: VideoList, video_set: Path):
    cfg = config(video_set, "TRAIN.BATCH_SIZE", 5, "DATA_LOADER.NUM_WORKERS", 1)
    batches = list(build_loader(cfg, build_train_dataset(cfg, [files, folders])))
    assert [len(batch.labels) for batch in batches] == [5, 5]
    seen = torch.cat([batch.video_idx for batch in batches]).tolist()
    assert len(set(seen)) == 10 and max(seen) > NUM_FILES - 1


def test_evaluation_takes_several_lists_too(files: VideoList, folders: VideoList):
    dataset = EvalClipDataset([folders, files], transform=EvalTransform(size=16), num_temporal_views=2)
    assert len(dataset) == NUM_FILES + 3
    first, last = dataset[SampleKey(0, 2)], dataset[SampleKey(0, 10)]
    assert numbers(first) == [5200, 5205] and (first.label, first.video_idx) == (1, 2)
    assert {number // 32 for number in numbers(last)} == {7} and (last.label, last.video_idx) == (1, 10)


def test_lists_of_other_classes_do_not_go_together(files: VideoList):
    lists = [replace(files, class_names=names) for names in (["a", "b"], None, ["a", "c"])]
    TrainClipDataset([*lists[:2], lists[0]], transform=WHOLE, seed=0)
    message = (
        "^class 1 is 'b' in list 1 and 'c' in list 3; lists that are put together need the same classes in the same "
        "order$"
    )
    with pytest.raises(UserError, match=message):
        TrainClipDataset(lists, transform=WHOLE, seed=0)
    with pytest.raises(UserError, match=r"^class 1 is 'b' in list 1 and None in list 2; lists that"):
        EvalClipDataset([lists[0], replace(files, class_names=["a"])], transform=EvalTransform(size=16))


def test_a_data_set_needs_a_list():
    with pytest.raises(UserError, match=r"^a data set needs at least one list of videos, and there is none$"):
        TrainClipDataset([], transform=WHOLE, seed=0)


def test_records_from_elsewhere_get_the_views_of_a_test(video_set: Path):
    cfg = config(video_set)
    listed = build_dataset(cfg, "test")
    dataset = build_eval_dataset(cfg, [listed.records[3], listed.records[0]])
    assert (dataset.num_views, dataset.timeout_s) == (listed.num_views, listed.timeout_s) == (6, 60.0)
    assert torch.equal(dataset[SampleKey(0, 0)].views, listed[SampleKey(0, 3)].views)
    assert torch.equal(dataset[SampleKey(0, 1)].views, listed[SampleKey(0, 0)].views)


def test_records_from_elsewhere_need_no_list_and_no_class_folders(video_set: Path):
    cfg = config(Path("/no/folder"), "TEST.DATASET", "folder")
    (record,) = [VideoRecord(str(video_set / "videos/test_0.mp4"), -1)]
    assert build_eval_dataset(cfg, [record])[SampleKey(0, 0)].label == -1
