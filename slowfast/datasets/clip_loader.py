"""Loading clips in processes of their own, and waiting for them: never without a bound, never deaf to a stop signal."""

import errno
import logging
import multiprocessing
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

import torch
from fvcore.common.config import CfgNode
from torch.utils.data import DataLoader

from slowfast.datasets.batch_transfer import (
    SHARED_MEMORY,
    PackedBatch,
    PackingCollate,
    free_shared_bytes,
    has_room,
)
from slowfast.datasets.clip_dataset import EvalClipDataset, TrainClipDataset
from slowfast.datasets.collate import collate
from slowfast.datasets.records import Batch, FailedVideo, Sample, SampleKey
from slowfast.errors import UserError
from slowfast.runtime import distributed
from slowfast.runtime.fork_server import end_fork_server, fork_server
from slowfast.runtime.interruption import raise_if_overdue
from slowfast.runtime.processes import (
    check_locks,
    check_open_files,
    depend_on_parent,
    end_loading,
    how_ended,
    note_loading,
    num_cores,
    too_many_files,
)
from slowfast.runtime.waiting import looking_around

logger = logging.getLogger(__name__)

# Batches that each process prepares beforehand.
PREFETCH = 2
# At most: what a process is started with and talks through.
_FILES_PER_PROCESS = 8
_LOCKS_PER_PROCESS = 3
# A wait this long is told, and then again and again.
WARN_S = 60.0
# How long the end of a process may be in coming after its connection broke off.
_END_S = 5.0


@dataclass(frozen=True)
class Workers:
    """The processes that load data, and what is asked of them.

    Attributes:
        num: of them; 0 loads in the process that trains.
        batch_timeout_s: longest wait for a batch.
        stop_timeout_s: longest wait for a batch once the run has been asked to stop.
        uses_shared_memory: batches pass through /dev/shm where it has room, else through files.
    """

    num: int = 0
    batch_timeout_s: float = 1800.0
    stop_timeout_s: float = 10.0
    uses_shared_memory: bool = True

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "Workers":
        """``DATA_LOADER.NUM_WORKERS``, but no more than cores, and the other keys."""
        return cls(
            num=min(cfg.DATA_LOADER.NUM_WORKERS, num_cores()),
            batch_timeout_s=cfg.DATA_LOADER.BATCH_TIMEOUT_S,
            stop_timeout_s=cfg.STOP_TIMEOUT_S,
            uses_shared_memory=cfg.DATA_LOADER.SHARED_MEMORY,
        )


class ClipLoader(DataLoader):
    """A loader whose processes are waited for with patience, but not for ever.

    A user's mistake that a loading process has met is told in one line, as it is told without one.
    """

    def __init__(self, *arguments: object, workers: Workers, batch_bytes: int, **options: object) -> None:
        super().__init__(*arguments, num_workers=workers.num, **options)
        self._workers, self._batch_bytes = workers, batch_bytes
        self._processes: list[BaseProcess] = []

    def __iter__(self) -> Iterator[Batch]:
        return super().__iter__() if self.num_workers == 0 else self._batches()

    def _batches(self) -> Iterator[Batch]:
        """Batches as they come.

        Raises:
            UserError: if a process has ended, or no batch comes in time.
            Interrupted: if the run has been asked to stop and no batch comes soon.
        """
        try:
            with self._patience():
                packed = self._start()
            while True:
                with self._patience():
                    batch = next(packed, None)
                    if isinstance(batch, PackedBatch):  # else it is in page-locked memory already
                        batch = batch.unpack()
                if batch is None:
                    return
                yield batch
        finally:
            if not self.persistent_workers:
                end_loading(self._processes)
                self._processes = []

    def _start(self) -> Iterator[PackedBatch | Batch]:
        """Start the processes, or let those of the last epoch go on."""
        before = set(multiprocessing.active_children())
        if not before.intersection(self._processes):
            check_open_files(_FILES_PER_PROCESS * (self.num_workers + 1))
            check_locks(_LOCKS_PER_PROCESS * (self.num_workers + 2), "set DATA_LOADER.NUM_WORKERS 0")
            self._warn_of_little_room()
        try:
            return super().__iter__()
        except BaseException:
            end_fork_server()
            raise
        finally:
            if started := set(multiprocessing.active_children()) - before:
                self._processes = list(started)
                note_loading(started)
                # A loader that the garbage collector finds has lost the queues by which PyTorch asks them to end.
                weakref.finalize(self, end_loading, self._processes).atexit = False

    def _warn_of_little_room(self) -> None:
        """One process of each node speaks for all."""
        num_batches = self.num_workers * PREFETCH + 1
        needed = self._batch_bytes * num_batches * distributed.processes_on_node()
        if distributed.leads_node() and self._workers.uses_shared_memory and not has_room(needed):
            logger.warning(
                "%s has %.0f MiB free, and batches on their way may take %.0f MiB (%d of %.1f MiB for each of %d "
                "processes); those that find no room pass through files, which is slower: give it more (docker run "
                "--shm-size 8g), or lower DATA_LOADER.NUM_WORKERS %d",
                *(SHARED_MEMORY, free_shared_bytes() / 2**20, needed / 2**20, num_batches, self._batch_bytes / 2**20),
                *(distributed.processes_on_node(), self.num_workers),
            )

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """Wait for the processes inside, and say in one line why the wait ended otherwise than well."""
        began, told_at = time.monotonic(), 0.0

        def look() -> None:
            nonlocal told_at
            raise_if_overdue(began, self._workers.stop_timeout_s)
            self._raise_if_ended()
            waited_s = time.monotonic() - began
            if waited_s > self._workers.batch_timeout_s:
                raise UserError(
                    f"no batch has come for DATA_LOADER.BATCH_TIMEOUT_S {self._workers.batch_timeout_s:g}; "
                    f"{self._state()}"
                )
            if waited_s > told_at + WARN_S:
                told_at = waited_s
                logger.warning("waiting for a batch for %.0f s; %s", waited_s, self._state())

        try:
            with looking_around(look):
                yield
        except UserError as error:  # PyTorch's text is the traceback of the process, at whose end is ours
            own = str(error).rpartition(f"{UserError.__module__}.{UserError.__qualname__}: ")[2].strip()
            raise UserError(own) from error
        except (RuntimeError, OSError, EOFError) as error:
            self._raise_if_ended()
            if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE) or "ancdata" in str(error):
                raise UserError(too_many_files()) from error
            if isinstance(error, EOFError | ConnectionError):
                self._wait_for_an_end()
                raise UserError(
                    f"the process that starts the loading processes has ended (was it killed, out of memory?); if "
                    f"memory is short, lower DATA_LOADER.NUM_WORKERS {self.num_workers}, or ask for more of it"
                ) from error
            raise

    def _wait_for_an_end(self) -> None:
        """A connection breaks off a little before the process at its other end is known to have ended."""
        until = time.monotonic() + _END_S
        while self._processes and time.monotonic() < until:
            self._raise_if_ended()
            time.sleep(0.05)

    def _raise_if_ended(self) -> None:
        for process in self._processes:
            if process.exitcode:
                raise UserError(
                    f"a loading process {how_ended(process.exitcode)}; if memory is short, lower "
                    f"DATA_LOADER.NUM_WORKERS {self.num_workers} or the batch, or ask for more of it"
                )

    def _state(self) -> str:
        """What a wait may come from."""
        num_alive = sum(process.is_alive() for process in self._processes)
        room = f"; {SHARED_MEMORY} has {free_shared_bytes() / 2**20:.0f} MiB free" if SHARED_MEMORY.is_dir() else ""
        return (
            f"{num_alive} of {self.num_workers} loading processes live{room}; is the disk or network slow, or does a "
            f"transform hang?"
        )


def clip_loader(
    dataset: TrainClipDataset | EvalClipDataset,
    *,
    batch_size: int,
    sampler: Iterable[SampleKey],
    workers: Workers,
    collate_fn: Callable[[list[Sample | FailedVideo]], Batch] = collate,
    pin_memory: bool = False,
    keeps_workers: bool = False,
    batch_bytes: int = 0,
) -> ClipLoader:
    """The one way to load clips: how processes start, what stops them, and where their seeds come from.

    Args:
        dataset: of clips.
        batch_size: videos per batch.
        sampler: which videos, in which order.
        workers: processes that load.
        collate_fn: puts a batch together.
        pin_memory: put batches where a GPU copies them from without waiting.
        keeps_workers: let the processes live from one epoch to the next.
        batch_bytes: size of a batch's clips, if it is known.
    """
    return ClipLoader(
        dataset,
        workers=workers,
        batch_bytes=batch_bytes,
        batch_size=batch_size,
        sampler=sampler,
        collate_fn=PackingCollate(collate_fn, workers.uses_shared_memory),
        pin_memory=pin_memory,
        prefetch_factor=PREFETCH if workers.num > 0 else None,
        persistent_workers=keeps_workers and workers.num > 0,
        worker_init_fn=depend_on_parent,
        multiprocessing_context=fork_server() if workers.num > 0 else None,
        # Of its own: starting workers draws from it, and must not move the generator that dropout draws from.
        generator=torch.Generator(),
    )
