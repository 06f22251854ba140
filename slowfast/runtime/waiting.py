"""Waiting for another process, with a look around every quarter second."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

TICK_S = 0.25


@contextmanager
def looking_around(look: Callable[[], None]) -> Iterator[None]:
    """Call ``look`` again and again while the main thread waits inside; what it raises ends the wait.

    It is the timer's signal that interrupts whatever the thread waits in, a library's loop or a pipe. Other threads get
    no signals: there, the wait goes on without looking. A timer that was set before goes on afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_over = False

    def tick(number: int, frame: FrameType | None) -> None:
        nonlocal is_over
        if is_over:
            return
        try:
            look()
        except BaseException:
            is_over = True
            raise

    began = time.monotonic()
    handler = signal.signal(signal.SIGALRM, tick)
    left_s, interval_s = signal.setitimer(signal.ITIMER_REAL, TICK_S, TICK_S)
    try:
        yield
    finally:
        is_over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left_s:
            signal.setitimer(signal.ITIMER_REAL, max(left_s - (time.monotonic() - began), 1e-3), interval_s)
