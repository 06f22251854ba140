"""Being asked to stop: by a scheduler, before it ends or pre-empts a job, or at a terminal.

The handlers of a run only take a note. Training looks at it between steps, saves where it stands and raises
``Interrupted``, which the launch turns into a clean exit; the same command then resumes from there. Who waits for
another process looks at it, too (``slowfast.runtime.waiting``).

What is no run ends at once, wherever it is, and on its way removes what it has begun (``stop_signals_raised``).
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

# SIGUSR2 is what SLURM is asked to send before it ends or pre-empts a job.
SCHEDULER_SIGNALS = (signal.SIGTERM, signal.SIGUSR2)
# Ctrl-C, and a terminal that is closed: whoever started the program wants nothing to follow it.
TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGHUP)
STOP_SIGNALS = (*SCHEDULER_SIGNALS, *TERMINAL_SIGNALS)
# Signals within this time are one request: a terminal signals all processes of a job, and so does the one among them
# that has started the others.
ONE_REQUEST_S = 1.0

_received: signal.Signals | None = None
_received_at = _last_at = 0.0
_is_repeated = False
_num_holding = 0


class Interrupted(Exception):
    """The run was asked to stop, and did; what is needed to resume is saved.

    Args:
        cause: what asked, such as "SIGTERM".
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Stopped(KeyboardInterrupt):
    """This process was asked to end by another signal than Ctrl-C's, and unwinds as of that one.

    Args:
        number: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = signal.Signals(number)


@contextlib.contextmanager
def stop_signals_raised() -> Iterator[None]:
    """Raise ``Stopped`` where SIGTERM or SIGHUP would end the process and leave its temporary files behind.

    Signals within a second are one request, so that what is removed on the way out is not broken off.
    """
    last_at = -ONE_REQUEST_S

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal last_at
        now = time.monotonic()
        is_new, last_at = now - last_at >= ONE_REQUEST_S, now
        if is_new:
            raise Stopped(number)

    with _handling((signal.SIGTERM, signal.SIGHUP), handle):
        yield


@contextlib.contextmanager
def stop_signals_end_at_once() -> Iterator[None]:
    """End with one line and the exit status of shells while there is nothing to save or to remove.

    For imports: an exception that is raised within them may get lost, or leave a traceback.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        os.write(2, f"{told_stop(number)}\n".encode())
        os._exit(128 + number)

    with _handling((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), handle):
        yield


def told_stop(number: int) -> str:
    """The one line of a program that was asked to end."""
    return f"stopped by {'Ctrl-C' if number == signal.SIGINT else signal.Signals(number).name}"


@contextlib.contextmanager
def _handling(numbers: Sequence[int], handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle signals that would end the process; in another thread than the main one nothing changes.

    Those that are ignored, as SIGHUP under ``nohup``, or handled by others stay so.
    """
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (numbers if is_main else ())}
    mine = [number for number, known in before.items() if known in (signal.SIG_DFL, signal.default_int_handler)]
    try:
        for number in mine:
            signal.signal(number, handle)
        yield
    finally:
        for number in mine:
            signal.signal(number, before[number])


def stop_signal() -> signal.Signals | None:
    """The first stop signal that this process has received since ``stop_signals_noted`` began; None before."""
    return _received


def noted_signals() -> list[signal.Signals]:
    """The stop signals that count: those of a terminal not where they are ignored, as under ``nohup``."""
    return [n for n in STOP_SIGNALS if n not in TERMINAL_SIGNALS or signal.getsignal(n) != signal.SIG_IGN]


@contextlib.contextmanager
def stop_signals_noted() -> Iterator[None]:
    """Note stop signals rather than die of them, in the main thread; the handlers of before come back at the end.

    A second Ctrl-C raises KeyboardInterrupt, wherever the program is, but not in ``stop_held_back``.
    """
    global _received, _is_repeated
    _received, _is_repeated = None, False
    before = {number: signal.signal(number, _note) for number in noted_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _received, _is_repeated = None, False


@contextlib.contextmanager
def stop_held_back() -> Iterator[None]:
    """Let no second Ctrl-C break off what is done inside, such as writing a checkpoint."""
    global _num_holding
    _num_holding += 1
    try:
        yield
    finally:
        _num_holding -= 1


def raise_if_stopped() -> None:
    """Raise Interrupted if this process has been asked to stop; for work that is simply done again later."""
    if _received is not None:
        raise Interrupted(_received.name)


def raise_if_overdue(since: float, patience_s: float) -> None:
    """Raise Interrupted if this process has been asked to stop twice, or once and has waited for long.

    Args:
        since: when the wait began, of ``time.monotonic``.
        patience_s: how long it may go on once the process has been asked.
    """
    if _received is None:
        return
    if _is_repeated or time.monotonic() - max(since, _received_at) >= patience_s:
        raise Interrupted(_received.name)


def ignore_stop_signals() -> None:
    """Let stop signals pass from now on: in a process that has done its work, they come too late."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def exit_status(cause: str) -> int:
    """Of a run that was asked to stop: 0 for a scheduler, to which it has ended well; else as shells give it."""
    for number in TERMINAL_SIGNALS:
        if cause == number.name:
            return 128 + number
    return 0


def _note(number: int, frame: FrameType | None) -> None:
    global _received, _received_at, _last_at, _is_repeated
    now = time.monotonic()
    is_new, _last_at = now - _last_at >= ONE_REQUEST_S, now
    if _received is None:
        _received, _received_at = signal.Signals(number), now
        if number == signal.SIGINT and sys.stderr.isatty():
            # Not through Python's files, which the signal may have found in the middle of writing.
            os.write(2, b"\nCtrl-C: stopping after this step; once more stops at once, without saving\n")
    elif is_new:
        _is_repeated = True
        if number == signal.SIGINT and not _num_holding:
            raise KeyboardInterrupt
