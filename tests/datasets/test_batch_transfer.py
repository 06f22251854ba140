"""Batches reach the process that trains whole, through shared memory and through files."""

import errno
import os
import tempfile
from pathlib import Path

import pytest
import torch
from torch.utils.data._utils.pin_memory import pin_memory

from slowfast.datasets import batch_transfer
from slowfast.datasets.batch_transfer import pack
from slowfast.datasets.records import Batch, ErasedPlace, Erasures, FailedVideo, TruncatedVideo
from slowfast.errors import UserError

PLACE = ErasedPlace(1, slice(0, 4), slice(2, 5), torch.Size((3, 1, 1, 1)))
BATCH = Batch(
    clips=torch.arange(2 * 3 * 2 * 32 * 32).to(torch.uint8).view(2, 3, 2, 32, 32),
    labels=torch.tensor([3, 1]),
    video_idx=torch.tensor([7, 9]),
    failed=(FailedVideo(8, "a.mp4", "no such file"),),
    erasures=Erasures((PLACE,), torch.randn(3)),
    truncated=(TruncatedVideo(9, "b.mp4", "cut off"),),
)
EMPTY = Batch(torch.empty(0, dtype=torch.uint8), torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64))


def num_open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("uses_shared_memory", [True, False])
@pytest.mark.parametrize("batch", [BATCH, EMPTY], ids=["batch", "empty"])
def test_a_batch_arrives_as_it_was(batch: Batch, uses_shared_memory: bool):
    pack(batch, uses_shared_memory=uses_shared_memory).unpack()  # starts what hands the files over
    before = num_open_files()
    arrived = pack(batch, uses_shared_memory=uses_shared_memory).unpack()
    for name in ("clips", "labels", "video_idx"):
        one, other = getattr(arrived, name), getattr(batch, name)
        assert torch.equal(one, other) and one.dtype == other.dtype and one.shape == other.shape
    assert torch.equal(arrived.erasures.values, batch.erasures.values)
    assert arrived.erasures.places == batch.erasures.places
    assert (arrived.failed, arrived.truncated) == (batch.failed, batch.truncated)
    arrived.clips.add_(1)  # its memory may be written to
    del arrived
    assert num_open_files() <= before


def test_a_batch_that_finds_no_room_in_shared_memory_passes_through_a_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batch_transfer, "free_shared_bytes", lambda: batch_transfer.MARGIN_BYTES + 1000)
    arrived = pack(BATCH).unpack()
    assert torch.equal(arrived.clips, BATCH.clips) and not arrived.clips.is_shared()


def test_files_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    packed = pack(BATCH, uses_shared_memory=False)
    assert list(tmp_path.iterdir()) == []
    packed.unpack()


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, r"no room for a batch of 0 MiB in \S+ \(No space left on device\); .* TMPDIR, .*--shm-size"),
        (errno.EMFILE, r"too many open files: the limit of a process is \d+; raise it \(ulimit -n 4096\)"),
    ],
)
def test_what_keeps_a_batch_from_passing_is_told(number: int, message: str, monkeypatch: pytest.MonkeyPatch):
    def fail() -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    with pytest.raises(UserError, match=message):
        pack(BATCH, uses_shared_memory=False)


def test_a_batch_for_a_gpu_is_unpacked_before_it_is_pinned(monkeypatch: pytest.MonkeyPatch):
    """PyTorch's thread, which pins, leaves it to a method; pinning itself needs a GPU."""
    monkeypatch.setattr(Batch, "pin_memory", lambda batch: ("pinned", batch.clips))
    kind, clips = pin_memory(pack(BATCH))
    assert kind == "pinned" and torch.equal(clips, BATCH.clips)
