"""A bound on the time that something may take."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """Fail where the code inside takes longer; in the main thread alone, and not inside another one."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"{what}: still at it after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
