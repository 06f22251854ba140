"""Batches on their way from a loading process to the one that trains: through shared memory, or through files.

A process that loads packs its batch itself, where an error is an error. Left to the thread that PyTorch sends batches
from, a full /dev/shm or too many open files would only lose the batch, and whoever waits for it would wait for ever.
"""

import errno
import io
import mmap
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.reduction import DupFd, ForkingPickler
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from slowfast.datasets.records import Batch, FailedVideo, Sample
from slowfast.errors import UserError
from slowfast.runtime.processes import too_many_files

SHARED_MEMORY = Path("/dev/shm")
# Left free for others: semaphores, and the batches of processes that look at the same moment.
MARGIN_BYTES = 4 * 2**20
# Smaller tensors travel as they are.
_MIN_FILE_BYTES = 4096


@dataclass(frozen=True)
class PackedBatch:
    """A batch whose tensors are in memory or files without a name, which are gone with the last process that has them.

    Attributes:
        content: a pickle of this program's own, with handles in place of the tensors.
    """

    content: bytes

    def unpack(self) -> Batch:
        """The batch; once."""
        return ForkingPickler.loads(self.content)

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory; the data loader calls this."""
        return self.unpack().pin_memory()


@dataclass(frozen=True)
class PackingCollate:
    """Puts a batch together and, in a process that loads, packs it.

    Args:
        collate_fn: from samples to a batch.
        uses_shared_memory: False takes files in the system's temporary folder, as does a batch that finds no room.
    """

    collate_fn: Callable[[list[Sample | FailedVideo]], Batch]
    uses_shared_memory: bool = True

    def __call__(self, samples: list[Sample | FailedVideo]) -> Batch | PackedBatch:
        batch = self.collate_fn(samples)
        return batch if get_worker_info() is None else pack(batch, uses_shared_memory=self.uses_shared_memory)


def pack(batch: Batch, *, uses_shared_memory: bool = True) -> PackedBatch:
    """Make a batch ready to be sent.

    Raises:
        UserError: if there is no room for it, or too many files are open.
    """
    num_bytes = batch.clips.nbytes + batch.erasures.values.nbytes
    if uses_shared_memory and has_room(num_bytes):
        try:
            return PackedBatch(bytes(ForkingPickler.dumps(batch)))
        except (RuntimeError, OSError):  # others were faster; or files are too many, of which the next error tells
            pass
    buffer = io.BytesIO()
    try:
        _FilePickler(buffer, 5).dump(batch)
    except OSError as error:
        raise UserError(_why_not_packed(error, num_bytes)) from None
    return PackedBatch(buffer.getvalue())


def has_room(num_bytes: int) -> bool:
    """Whether shared memory has room for so much more; where it is no folder, nothing tells."""
    return not SHARED_MEMORY.is_dir() or free_shared_bytes() >= num_bytes + MARGIN_BYTES


def free_shared_bytes() -> int:
    """What is free in /dev/shm."""
    return shutil.disk_usage(SHARED_MEMORY).free


class _FilePickler(ForkingPickler):
    """Writes tensors to files that have no name, and pickles the descriptors."""

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return NotImplemented
        array = value.contiguous().numpy()
        if array.nbytes < _MIN_FILE_BYTES:
            return torch.from_numpy, (array,)
        with tempfile.TemporaryFile() as file:
            file.write(array.data)
            file.flush()
            return _map_file, (DupFd(file.fileno()), value.dtype, value.shape)


def _map_file(descriptor: Any, dtype: torch.dtype, shape: torch.Size) -> Tensor:
    """A tensor in the memory that the file is mapped to."""
    fd = descriptor.detach()
    try:
        return torch.frombuffer(mmap.mmap(fd, 0), dtype=dtype).view(shape)
    finally:
        os.close(fd)


def _why_not_packed(error: OSError, num_bytes: int) -> str:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return too_many_files()
    return (
        f"a loading process has no room for a batch of {num_bytes / 2**20:.0f} MiB in {tempfile.gettempdir()} "
        f"({error.strerror}); make room there, name another folder in the environment variable TMPDIR, give /dev/shm "
        f"more (docker run --shm-size 8g), or lower DATA_LOADER.NUM_WORKERS"
    )
