"""Where processes that load data come from."""

import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import signal
import sys
from contextlib import suppress
from functools import cache
from multiprocessing.context import BaseContext

from slowfast.runtime.interruption import STOP_SIGNALS
from slowfast.runtime.processes import environment_variable

# What a worker needs, imported once for all of them; the program itself, as each would import it otherwise.
_PRELOADED = ["__main__", "slowfast.datasets"]


@cache
def fork_server() -> BaseContext:
    """The context whose processes are forked by a process that has no threads.

    A process that trains has threads: NumPy's and PyTorch's, and those that talk to other processes. A fork copies the
    locks that they hold just then, but not the threads that would release them: up to Python 3.11 even the
    interpreter's list of threads is such a lock, and the new process may wait for it for ever; from 3.12 on Python
    warns. Spawning instead would import everything in each worker.

    The server starts in the background, and imports while the caller goes on. On macOS, whose own libraries do not
    survive a fork, processes are spawned.
    """
    if sys.platform == "darwin":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    # The server and its workers leave stop signals to this process; they inherit that the signals are held back.
    start_resource_tracker()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def end_fork_server() -> None:
    """End it before it starts what nobody waits for any more, and which would only fail, with a traceback."""
    pid = getattr(multiprocessing.forkserver._forkserver, "_forkserver_pid", None)  # nothing public tells it
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def start_resource_tracker() -> None:
    """Start multiprocessing's process that cleans up after the others, with stop signals held back for its whole life.

    By itself it ignores SIGINT and SIGTERM alone: a SIGUSR2 to all processes of a job would end it. Its start lets
    signals through that a caller has held back, which is why it comes first. What a process leaves that fails it
    removes without a warning, which would follow the one line that says why.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        with environment_variable("PYTHONWARNINGS", f"ignore:resource_tracker,{os.environ.get('PYTHONWARNINGS', '')}"):
            multiprocessing.resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
