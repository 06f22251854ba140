"""What all tests share: a tiny data set, and that no test leaves traces in the next."""

import os
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

# Before NumPy and PyTorch read it: processes that share cores get one thread each.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from hypothesis import settings

from tests.command_line import Outcome, run_net, tiny_arguments
from tests.process_state import process_state_kept
from tests.videos import write_video_set

# Examples may be slow where cores are shared, so they have no deadline; the same ones are drawn every time, so that a
# failure is one of the current change.
settings.register_profile("repository", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("repository")


# Marks of tests that run only where -m speaks of them.
APART = ("slurm", "experiment")


def pytest_configure(config: pytest.Config) -> None:
    """Whoever started the tests may ignore Ctrl-C and a closed terminal, as ``nohup`` and ``&`` in a script do."""
    if threading.current_thread() is threading.main_thread():
        for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
            if signal.getsignal(number) == signal.SIG_IGN:
                signal.signal(number, usual)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that start a SLURM of their own, or train for minutes, unless -m speaks of them."""
    names = [name for name in APART if name not in config.option.markexpr]
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in names)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def video_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a data set of 8 + 4 + 6 videos of 8 frames and 2 classes; tests must not change it."""
    return write_video_set(tmp_path_factory.mktemp("video_set"))


@pytest.fixture(scope="session")
def finished_run(video_set: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """OUTPUT_DIR of a run that trained four epochs and tested, and what it printed; tests must not change it."""
    output_dir = tmp_path_factory.mktemp("runs") / "finished run"
    return output_dir, run_net(*tiny_arguments(video_set, output_dir))


@pytest.fixture(autouse=True)
def unchanged_process() -> Iterator[None]:
    """No test's log handlers, threads or random states reach the next, and each draws the same numbers every time."""
    with process_state_kept():
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        yield
