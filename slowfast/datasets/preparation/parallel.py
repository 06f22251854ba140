"""Many files in several processes: a crash or a hang costs one file, not the run."""

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class LostItem:
    """Stands for the result of an item whose process ended or was ended."""

    cause: str


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    item_idx: int = -1
    deadline: float = float("inf")


def worker_count(text: str) -> int:
    """A number of workers from a command line.

    Raises:
        ValueError: if it is no integer or below 0.
    """
    if int(text) < 0:
        raise ValueError
    return int(text)


def map_unordered(
    function: Callable[[Item], Result], items: Sequence[Item], *, num_workers: int, timeout_s: float = float("inf")
) -> Iterator[tuple[int, Result | LostItem]]:
    """Apply a function to items; yields (index of the item, result) as results arrive.

    Args:
        function: can be pickled, as are its results.
        items: can be pickled, too.
        num_workers: processes; 0 works in this one, without protection from crashes and hangs.
        timeout_s: longest that an item may take; then its process is killed.

    Raises:
        Exception: what the function raises.
    """
    if num_workers == 0:
        for idx, item in enumerate(items):
            yield idx, function(item)
        return
    # Not forked from here: the caller may hold threads (PyTorch, PyAV), which do not survive a fork. A clean server
    # imports this package once and forks the workers.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([function.func.__module__ if hasattr(function, "func") else function.__module__])
    pending = deque(range(len(items)))
    workers = [_start(context, function) for _ in range(min(num_workers, len(items)))]
    busy: dict[Connection, _Worker] = {}
    idle = list(workers)
    try:
        for worker in workers:
            _await_start(worker)
        while pending or busy:
            while pending and idle:
                worker = idle.pop()
                worker.item_idx, worker.deadline = pending.popleft(), time.monotonic() + timeout_s
                worker.connection.send(items[worker.item_idx])
                busy[worker.connection] = worker
            for worker, result in _collect(busy, timeout_s):
                yield worker.item_idx, result
                del busy[worker.connection]
                if isinstance(result, LostItem):
                    workers.remove(worker)
                    worker = _start(context, function)
                    workers.append(worker)
                    _await_start(worker)
                idle.append(worker)
    finally:
        for worker in workers:
            _stop(worker)


def _start(context: Any, function: Callable[[Item], Result]) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(function, theirs), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _await_start(worker: _Worker) -> None:
    try:
        worker.connection.recv()
    except EOFError:
        raise RuntimeError("a worker process could not start; what it printed says why") from None


def _stop(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.join()
    worker.connection.close()


def _serve(function: Callable[[Item], Result], connection: Connection) -> None:
    """Say that the work can begin, and work until the other end closes; an exception is sent instead of a result."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    connection.send("ready")
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        try:
            connection.send((function(item), None))
        except Exception as error:
            connection.send((None, error))


def _collect(busy: dict[Connection, _Worker], timeout_s: float) -> list[tuple[_Worker, Any]]:
    """Wait for results, ends and deadlines; processes of lost items are stopped here."""
    soonest = min(worker.deadline for worker in busy.values())
    patience_s = None if soonest == float("inf") else max(soonest - time.monotonic(), 0)
    collected = []
    for connection in wait(list(busy), patience_s):
        worker = busy[connection]
        try:
            result, error = connection.recv()
        except (EOFError, OSError):
            worker.process.join()
            collected.append((worker, LostItem(f"its process ended with {_exit_reason(worker.process.exitcode)}")))
            _stop(worker)
            continue
        if error is not None:
            raise error
        collected.append((worker, result))
    now = time.monotonic()
    done = {worker.item_idx for worker, _ in collected}
    for worker in busy.values():
        if worker.item_idx not in done and worker.deadline <= now:
            _stop(worker)
            collected.append((worker, LostItem(f"took longer than {timeout_s:g} s")))
    return collected


def _exit_reason(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"status {code}"
