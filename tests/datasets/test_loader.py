"""Batches: which process sees which video, and that neither workers nor processes change a clip."""

import errno
import gc
import multiprocessing
import os
import re
import signal
import threading
import time
from itertools import chain
from multiprocessing import forkserver, synchronize
from pathlib import Path

import pytest
import torch
from fvcore.common.config import CfgNode
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from slowfast.datasets import build_class_names, build_dataset, build_loader
from slowfast.datasets.collate import collate
from slowfast.datasets.epoch_sampler import EpochSampler
from slowfast.datasets.records import Batch, FailedVideo, Sample
from slowfast.errors import UserError
from tests.datasets.tiny_config import tiny_config


def config(video_set: Path, *overrides: object) -> CfgNode:
    """Batches that the tiny data set fills unevenly."""
    sizes = ["TRAIN.BATCH_SIZE", 3, "TEST.BATCH_SIZE", 12, "MODEL.NUM_CLASSES", 2]
    views = ["TEST.NUM_ENSEMBLE_VIEWS", 2, "TEST.NUM_SPATIAL_CROPS", 3]
    return tiny_config(video_set, *sizes, *views, *overrides)


def epoch_of(cfg: CfgNode, split: str, epoch: int = 0) -> list[Batch]:
    loader = build_loader(cfg, build_dataset(cfg, split))
    loader.sampler.set_epoch(epoch)
    return list(loader)


def video_idxs(batches: list[Batch]) -> list[int]:
    return list(chain.from_iterable(batch.video_idx.tolist() for batch in batches))


# Shares of an epoch


sizes = st.fixed_dictionaries(
    {"num_videos": st.integers(1, 200), "world_size": st.integers(1, 9), "step_size": st.integers(1, 12)}
)


def shares(*, is_train: bool, epoch: int, num_videos: int, world_size: int, step_size: int) -> list[list[int]]:
    """What each process sees."""
    result = []
    for rank in range(world_size):
        sampler = EpochSampler(
            num_videos, rank=rank, world_size=world_size, step_size=step_size, is_train=is_train, seed=3
        )
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert len(sampler) == len(keys)
        assert all(key.epoch == epoch for key in keys)
        result.append([key.video_idx for key in keys])
    return result


@given(size=sizes, epoch=st.integers(0, 50))
def test_training_sees_a_video_at_most_once_an_epoch_in_equal_whole_batches(size: dict, epoch: int):
    parts = shares(is_train=True, epoch=epoch, **size)
    seen = sorted(chain.from_iterable(parts))
    assert seen == sorted(set(seen)) and set(seen) <= set(range(size["num_videos"]))
    step = size["step_size"] * size["world_size"]
    assert {len(part) for part in parts} == {size["num_videos"] // step * size["step_size"]}


@given(size=sizes, epoch=st.integers(0, 3))
def test_evaluation_sees_every_video_exactly_once_and_pads_nothing(size: dict, epoch: int):
    parts = shares(is_train=False, epoch=epoch, **size)
    assert sorted(chain.from_iterable(parts)) == list(range(size["num_videos"]))
    lengths = [len(part) for part in parts]
    assert max(lengths) - min(lengths) <= 1
    assert all(part == sorted(part) for part in parts)


def test_epochs_and_seeds_shuffle_anew():
    orders = [shares(is_train=True, epoch=e, num_videos=50, world_size=1, step_size=1)[0] for e in (0, 1, 0)]
    assert orders[0] != orders[1] and orders[0] == orders[2] and orders[0] != sorted(orders[0])
    other_seed = EpochSampler(50, rank=0, world_size=1, step_size=1, is_train=True, seed=4)
    assert [key.video_idx for key in other_seed] != orders[0]


def test_what_an_epoch_leaves_out_changes_with_the_epoch():
    left_out = {
        (set(range(10)) - set(shares(is_train=True, epoch=e, num_videos=10, world_size=1, step_size=3)[0])).pop()
        for e in range(20)
    }
    assert len(left_out) > 3


@given(size=sizes, epoch=st.integers(0, 50), share_done=st.floats(0, 1))
def test_what_is_left_of_an_epoch_is_its_end(size: dict, epoch: int, share_done: float):
    for rank in range(size["world_size"]):
        sampler = EpochSampler(**{**size, "rank": rank}, is_train=True, seed=3)
        sampler.set_epoch(epoch)
        whole, num_steps_done = list(sampler), int(share_done * sampler.num_steps)
        sampler.set_epoch(epoch, num_steps_done=num_steps_done)
        assert list(sampler) == whole[num_steps_done * size["step_size"] :]
        assert len(sampler) == len(whole) - num_steps_done * size["step_size"]


def test_the_number_of_processes_does_not_change_what_a_step_trains_on():
    """Rank r takes every w-th video of one order, so that a step of all processes has the same videos."""
    alone = shares(is_train=True, epoch=2, num_videos=60, world_size=1, step_size=12)[0]
    parts = shares(is_train=True, epoch=2, num_videos=60, world_size=4, step_size=3)
    for step in range(5):
        together = chain.from_iterable(part[3 * step : 3 * step + 3] for part in parts)
        assert sorted(together) == sorted(alone[12 * step : 12 * step + 12])


# Loaders


@pytest.mark.parametrize("uses_shared_memory", [True, False])
def test_workers_do_not_change_training_batches(uses_shared_memory: bool, video_set: Path):
    overrides = ["DATA_LOADER.NUM_WORKERS", 2, "DATA_LOADER.SHARED_MEMORY", uses_shared_memory]
    for epoch in (0, 1):
        plain = epoch_of(config(video_set), "train", epoch)
        by_workers = epoch_of(config(video_set, *overrides), "train", epoch)
        assert len(plain) == len(by_workers) == 2  # 8 videos, batches of 3
        for one, other in zip(plain, by_workers, strict=True):
            assert torch.equal(one.clips, other.clips)
            assert torch.equal(one.labels, other.labels) and torch.equal(one.video_idx, other.video_idx)


class ParentOfWorker(Dataset):
    """Gives the process that the loading process was started by."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, idx: int) -> int:
        return os.getppid()


def test_loading_processes_are_not_forked_from_this_one(video_set: Path):
    """It has threads, whose locks a fork would copy."""
    cfg = config(video_set, "DATA_LOADER.NUM_WORKERS", 1)
    context = build_loader(cfg, build_dataset(cfg, "train")).multiprocessing_context
    loader = DataLoader(ParentOfWorker(), num_workers=1, multiprocessing_context=context)
    assert next(iter(loader)).item() != os.getpid()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_shared_memory_without_room_for_a_lock_is_told_in_one_line(
    number: int, video_set: Path, monkeypatch: pytest.MonkeyPatch
):
    """As where /dev/shm is full to the last page, or may only be read."""

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(synchronize.SemLock, "__init__", refuse)
    loader = build_loader(config(video_set, "DATA_LOADER.NUM_WORKERS", 1), build_dataset(config(video_set), "train"))
    with pytest.raises(UserError, match=f"that work together: {os.strerror(number)} .*/dev/shm.*NUM_WORKERS 0"):
        next(iter(loader))


def test_a_killed_fork_server_is_told_in_one_line(video_set: Path):
    """It is stopped first, so that it is killed while it is asked for a process, and not before."""
    loader = build_loader(config(video_set, "DATA_LOADER.NUM_WORKERS", 1), build_dataset(config(video_set), "train"))
    forkserver.ensure_running()
    server = forkserver._forkserver._forkserver_pid  # nothing public tells it
    os.kill(server, signal.SIGSTOP)
    kill = threading.Timer(0.3, os.kill, (server, signal.SIGKILL))
    kill.start()
    try:
        with pytest.raises(UserError, match="the process that starts the loading processes has ended"):
            next(iter(loader))
    finally:
        kill.join()


class EndingProcess:
    """Killed a while ago, which nobody has been told yet."""

    def __init__(self, told_after_s: float) -> None:
        self._told_at = time.monotonic() + told_after_s

    @property
    def exitcode(self) -> int | None:
        return -signal.SIGKILL if time.monotonic() >= self._told_at else None


def test_a_connection_that_breaks_off_before_its_process_is_told_of_that(video_set: Path):
    loader = build_loader(config(video_set, "DATA_LOADER.NUM_WORKERS", 1), build_dataset(config(video_set), "train"))
    loader._processes = [EndingProcess(0.4)]
    with pytest.raises(UserError, match="a loading process was killed by SIGKILL"), loader._patience():
        raise ConnectionResetError


def test_a_loader_with_workers_follows_the_epoch(video_set: Path):
    """Persistent workers keep their copy of the data set; the epoch reaches them with the keys."""
    cfg = config(video_set, "DATA_LOADER.NUM_WORKERS", 1)
    loader = build_loader(cfg, build_dataset(cfg, "train"))
    for epoch in (0, 1):
        loader.sampler.set_epoch(epoch)
        batches, expected = list(loader), epoch_of(config(video_set), "train", epoch)
        assert all(torch.equal(one.clips, other.clips) for one, other in zip(batches, expected, strict=True))


@pytest.mark.slow
def test_processes_of_a_loader_that_the_garbage_collector_finds_end(video_set: Path):
    loader = build_loader(config(video_set, "DATA_LOADER.NUM_WORKERS", 1), build_dataset(config(video_set), "train"))
    others = set(multiprocessing.active_children())
    assert len(list(loader)) == 2
    (process,) = set(multiprocessing.active_children()) - others
    assert process.is_alive()
    loader.itself = loader
    del loader
    gc.collect()
    process.join(timeout=2)  # PyTorch alone waits for 10 s, and leaves it
    assert not process.is_alive()


def test_a_training_batch_has_a_clip_and_a_label_a_video(video_set: Path):
    batches = epoch_of(config(video_set), "train")
    for batch in batches:
        assert batch.clips.shape == (3, 3, 2, 16, 16) and batch.clips.dtype == torch.uint8
        assert batch.labels.tolist() == [idx % 2 for idx in batch.video_idx.tolist()]
        assert batch.labels.dtype == torch.int64
        assert batch.failed == batch.replaced == ()
    seen = video_idxs(batches)
    assert len(set(seen)) == len(seen) == 6


@pytest.mark.parametrize("num_workers", [0, 2])
def test_test_batches_keep_all_views_of_a_video_together(video_set: Path, num_workers: int):
    batches = epoch_of(config(video_set, "DATA_LOADER.NUM_WORKERS", num_workers), "test")
    assert [len(batch.labels) for batch in batches] == [2, 2, 2]  # 12 views per batch, 6 per video
    assert all(batch.clips.shape == (12, 3, 2, 16, 16) for batch in batches)
    assert video_idxs(batches) == list(range(6))


def test_a_batch_smaller_than_a_videos_views_still_takes_one_video(video_set: Path):
    assert [len(batch.labels) for batch in epoch_of(config(video_set, "TEST.BATCH_SIZE", 1), "test")] == [1] * 6


def test_validation_takes_one_central_view(video_set: Path):
    batches = epoch_of(config(video_set), "val")
    assert video_idxs(batches) == list(range(4))
    assert batches[0].clips.shape == (4, 3, 2, 16, 16)


def test_a_nodes_batch_is_split_over_its_processes(video_set: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert [len(batch.labels) for batch in epoch_of(config(video_set), "train")] == [1] * 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"TRAIN\.BATCH_SIZE 3 is not divisible by the 2 processes of a node"):
        epoch_of(config(video_set), "train")


def test_a_list_that_fills_no_batch_is_refused(video_set: Path):
    message = "the training list has 8 videos, fewer than one step of 9; lower TRAIN.BATCH_SIZE"
    with pytest.raises(UserError, match=message):
        epoch_of(config(video_set, "TRAIN.BATCH_SIZE", 9), "train")


def test_an_unknown_data_set_is_refused_with_those_known(video_set: Path):
    for split, key in (("train", "TRAIN.DATASET"), ("val", "TRAIN.DATASET"), ("test", "TEST.DATASET")):
        with pytest.raises(UserError, match=f"{key} is 'kinetix'; accepted: .*kinetics_sparse"):
            build_dataset(config(video_set, key, "kinetix"), split)


def test_class_names_come_from_their_file(video_set: Path):
    assert build_class_names(config(video_set)) is None
    path = str(video_set / "classes.txt")
    assert build_class_names(config(video_set, "DATA.CLASS_NAMES_FILE", path)) == ["class 0", "class 1"]
    with pytest.raises(UserError, match=re.escape(f"DATA.CLASS_NAMES_FILE {path}: 2 names")):
        build_class_names(config(video_set, "DATA.CLASS_NAMES_FILE", path, "MODEL.NUM_CLASSES", 3))


# Collating


def sample(label: int, video_idx: int, num_views: int = 1, replaced: tuple = ()) -> Sample:
    return Sample(torch.full((num_views, 3, 1, 2, 2), video_idx, dtype=torch.uint8), label, video_idx, replaced)


def test_unreadable_videos_are_listed_beside_the_others():
    failure = FailedVideo(7, "b.mp4", "cause")
    batch = collate([sample(0, 6, 2), failure, sample(1, 8, 2)])
    assert batch.clips[:, 0, 0, 0, 0].tolist() == [6, 6, 8, 8]
    assert batch.labels.tolist() == [0, 1] and batch.video_idx.tolist() == [6, 8]
    assert batch.failed == (failure,)


def test_a_batch_may_consist_of_unreadable_videos():
    failures = tuple(FailedVideo(i, f"{i}.mp4", "cause") for i in range(2))
    batch = collate(failures)
    assert batch.failed == failures and len(batch.labels) == len(batch.clips) == len(batch.video_idx) == 0


def test_replaced_videos_are_named_by_the_batch():
    failures = [FailedVideo(i, f"{i}.mp4", "cause") for i in range(3)]
    batch = collate([sample(0, 8, replaced=tuple(failures[:2])), sample(1, 9, replaced=(failures[2],))])
    assert batch.replaced == tuple(failures) and batch.failed == ()
    moved = batch.to(torch.device("cpu"))
    assert moved.replaced == batch.replaced and torch.equal(moved.clips, batch.clips)
