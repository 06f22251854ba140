"""What all tests share: a tiny data set, and that no test leaves traces in the next."""

import logging
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from tests.videos import write_video_set

# Examples may be slow where cores are shared, so they have no deadline; the same ones are drawn every time, so that a
# failure is one of the change at hand.
settings.register_profile("repository", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("repository")


@pytest.fixture(scope="session")
def video_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a data set of 8 + 4 + 6 videos of 8 frames and 2 classes; tests must not change it."""
    return write_video_set(tmp_path_factory.mktemp("video_set"))


@pytest.fixture(autouse=True)
def unchanged_process() -> Iterator[None]:
    """Put back what a run changes in its process: the log's handlers, the number of threads, random states."""
    log = logging.getLogger("slowfast")
    handlers, level, propagates = list(log.handlers), log.level, log.propagate
    num_threads = torch.get_num_threads()
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    for handler in log.handlers:
        if handler not in handlers:
            handler.close()
    log.handlers, log.propagate = handlers, propagates
    log.setLevel(level)
    torch.set_num_threads(num_threads)
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
