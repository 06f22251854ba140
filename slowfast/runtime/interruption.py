"""Being asked to stop: SIGTERM, and the signal that SLURM sends before it ends or pre-empts a job.

The handlers only take a note. Training looks at it between steps, saves where it stands and raises ``Interrupted``,
which the launch turns into a clean exit; the same command then resumes from there.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing.util import Finalize
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR2)

_received: signal.Signals | None = None


class Interrupted(Exception):
    """The run was asked to stop, and did; what is needed to resume is saved.

    Args:
        cause: what asked, such as "SIGTERM".
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def stop_signal() -> signal.Signals | None:
    """The first stop signal that this process has received since ``stop_signals_noted`` began; None before."""
    return _received


@contextlib.contextmanager
def stop_signals_noted() -> Iterator[None]:
    """Note stop signals rather than die of them, in the main thread; the handlers of before come back at the end."""
    global _received
    _received = None
    before = {number: signal.signal(number, _note) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _received = None


def raise_if_stopped() -> None:
    """Raise Interrupted if this process has been asked to stop; for work that is simply done again later."""
    if _received is not None:
        raise Interrupted(_received.name)


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


def ignore_stop_signals() -> None:
    """Let stop signals pass from now on: in a process that has done its work, they come too late."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _kill_daemons() -> None:
    """End what Python is about to end by SIGTERM, and to wait for, when this program exits.

    A run that fails leaves its loading processes as they are, and they would ignore that signal for ever.
    """
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()


# After all that tidies up in the order that it asks for (a pool's workers, say), and before Python's own turn.
Finalize(None, _kill_daemons, exitpriority=0)


def _note(number: int, frame: FrameType | None) -> None:
    global _received
    if _received is None:
        _received = signal.Signals(number)
