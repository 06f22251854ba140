"""A wait that looks around, and what it looks at."""

import os
import signal
import threading
import time

import pytest

from slowfast.runtime import interruption
from slowfast.runtime.interruption import (
    Interrupted,
    exit_status,
    raise_if_overdue,
    stop_held_back,
    stop_signal,
    stop_signals_noted,
)
from slowfast.runtime.waiting import looking_around
from tests.time_bound import within


class Found(Exception):
    pass


def found() -> None:
    raise Found


def test_what_a_look_raises_ends_the_wait_whatever_it_waits_in():
    reading, writing = os.pipe()
    with pytest.raises(Found), within(20, "a pipe that nobody writes to"), looking_around(found):
        os.read(reading, 1)
    os.close(reading)
    os.close(writing)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_timer_of_before_goes_on():
    with pytest.raises(AssertionError, match="still at it"), within(1, "a wait"):
        with looking_around(lambda: None):
            time.sleep(0.1)
        time.sleep(20)


def test_a_thread_waits_without_looking():
    seen = []

    def wait() -> None:
        with looking_around(found):
            seen.append("waited")

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(timeout=20)
    assert seen == ["waited"]


def test_a_wait_is_overdue_some_time_after_the_signal_or_its_own_beginning():
    with stop_signals_noted():
        raise_if_overdue(0.0, 0.0)  # nobody has asked
        os.kill(os.getpid(), signal.SIGTERM)
        raise_if_overdue(0.0, 1000.0)
        time.sleep(0.05)
        with pytest.raises(Interrupted) as stop:
            raise_if_overdue(0.0, 0.01)
        assert stop.value.cause == "SIGTERM"
        raise_if_overdue(time.monotonic(), 10.0)


def test_a_second_signal_counts_only_some_time_after_the_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(interruption, "ONE_REQUEST_S", 0.2)
    with stop_signals_noted():
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        raise_if_overdue(0.0, 1000.0)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(Interrupted, match="SIGTERM"):
            raise_if_overdue(0.0, 1000.0)


def test_a_second_ctrl_c_breaks_off_all_but_what_is_held(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(interruption, "ONE_REQUEST_S", 0.0)
    with stop_signals_noted():
        os.kill(os.getpid(), signal.SIGINT)
        assert stop_signal() == signal.SIGINT
        with stop_held_back():
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals_noted():
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop_signal() is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_only_a_terminals_signals_make_a_status():
    causes = ("SIGTERM", "SIGUSR2", "a signal to another process", "SIGHUP", "SIGINT")
    assert [exit_status(cause) for cause in causes] == [0, 0, 0, 129, 130]
