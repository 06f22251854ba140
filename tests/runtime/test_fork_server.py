"""The processes behind loading outlive a signal that a scheduler sends to all processes of a job."""

import signal
import subprocess
import sys

import pytest

# Notes stop signals as a run does, sends one to its whole process group, and uses the helpers' processes afterwards.
PROGRAM = """
import os, signal, sys, time
from multiprocessing import resource_tracker
from slowfast.runtime.fork_server import {start}
from slowfast.runtime.interruption import stop_signal, stop_signals_noted
if __name__ == "__main__":
    with stop_signals_noted():
        {start}()
        tracker = resource_tracker._resource_tracker._pid
        os.killpg(0, signal.Signals({number}))
        time.sleep(0.5)
        print(stop_signal().name, resource_tracker._resource_tracker._check_alive())
        held = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        print(signal.SIGUSR2 in held, signal.SIGTERM in held)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
@pytest.mark.parametrize("start", ["fork_server", "start_resource_tracker"])
def test_the_process_that_cleans_up_outlives_stop_signals(start: str, number: signal.Signals):
    outcome = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(start=start, number=int(number))],
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=120,
        check=False,
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.split() == [number.name, "True", "False", "False"]
