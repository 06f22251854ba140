"""The processes of this program that load its data: what they do with signals, how they end and how that is told."""

import contextlib
import errno
import multiprocessing
import os
import resource
import signal
import threading
import weakref
from collections.abc import Iterable, Iterator
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize

from slowfast.errors import UserError
from slowfast.runtime.interruption import ignore_stop_signals

_loading: "weakref.WeakSet[BaseProcess]" = weakref.WeakSet()


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def environment_variable(name: str, value: str) -> Iterator[None]:
    """Set a variable for what starts inside; the one of before comes back."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def depend_on_parent(worker_idx: int = 0) -> None:
    """Leave stop signals to the parent, in a process that loads data, and end with it, however it ends.

    A scheduler signals every process of a job, and a worker that died of it would fail the training that is about to
    save. That the parent has been killed, only a thread of its own notices: PyTorch's workers look at the process that
    forked them, and the fork server lives for as long as they do.
    """
    ignore_stop_signals()
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    if parent is not None:
        threading.Thread(target=end_with_parent, daemon=True).start()


def note_loading(processes: Iterable[BaseProcess]) -> None:
    """Take note of processes that ignore SIGTERM, so that ``end_loading`` ends them."""
    _loading.update(processes)


def end_loading(processes: Iterable[BaseProcess] | None = None) -> None:
    """End processes that load data, now: nothing that they hold is needed any more. None ends all of this program.

    Python and PyTorch ask them by SIGTERM, which they ignore, and wait, Python for ever.
    """
    for process in list(_loading) if processes is None else processes:
        if process.is_alive():
            process.kill()


def how_ended(exit_code: int) -> str:
    """What became of a process, in words that follow its name; ``exit_code`` is negative for a signal."""
    if exit_code >= 0:
        return f"ended with status {exit_code}"
    number = -exit_code
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    guesses = {signal.SIGKILL: " (out of memory?)", signal.SIGBUS: " (is /dev/shm full?)"}
    return f"was killed by {name}{guesses.get(number, '')}"


def check_open_files(number: int) -> None:
    """Look whether so many more files can be open: a start that fails halfway leaves tracebacks of other processes.

    Raises:
        UserError: if not.
    """
    with contextlib.ExitStack() as stack:
        try:
            for _ in range(number):
                stack.enter_context(open(os.devnull))
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            raise UserError(too_many_files()) from None


def check_locks(number: int, remedy: str) -> None:
    """Look whether so many more locks can be shared with other processes, for the same reason.

    Args:
        number: of locks.
        remedy: how the caller works without other processes, for the message.

    Raises:
        UserError: if not.
    """
    try:
        _ = [multiprocessing.Lock() for _ in range(number)]
    except OSError as error:
        raise UserError(
            f"no processes can be started that work together: {error.strerror} (for their locks, which always lie in "
            f"/dev/shm); make room there and let this user write to it (docker run --shm-size 8g), or {remedy}"
        ) from None


def too_many_files() -> str:
    """What to do about the limit of open files."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return (
        f"too many open files: the limit of a process is {limit}; raise it (ulimit -n 4096), or lower "
        f"DATA_LOADER.NUM_WORKERS"
    )


def _kill_daemons() -> None:
    """End what Python is about to end by SIGTERM, and to wait for, when this program exits.

    A run that fails leaves its loading processes as they are, and they would ignore that signal for ever.
    """
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()


# After all that tidies up in the order that it asks for (a pool's workers, say), and before Python's own turn.
Finalize(None, _kill_daemons, exitpriority=0)
