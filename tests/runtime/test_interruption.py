"""Processes that leave stop signals to their parent, and end with it."""

import signal
import sys

import pytest

from tests.command_line import run_commands

LOADING = """
from torch.utils.data import DataLoader
from slowfast.runtime.processes import depend_on_parent

if __name__ == "__main__":
    loader = DataLoader(
        range(99), num_workers=1, persistent_workers=True, worker_init_fn=depend_on_parent,
        multiprocessing_context="{way}",
    )
    batches = iter(loader)
    next(batches)
    {end}
    raise RuntimeError("in the middle of an epoch")
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["fork", "forkserver"])
def test_a_program_that_fails_while_processes_load_data_ends(way: str, tmp_path):
    (tmp_path / "program.py").write_text(LOADING.replace("{way}", way).replace("{end}", ""))
    (outcome,) = run_commands([sys.executable, tmp_path / "program.py"], timeout_s=60)
    assert outcome.code == 1
    assert outcome.err.rstrip().endswith("RuntimeError: in the middle of an epoch")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["fork", "forkserver", "spawn"])
def test_processes_that_load_data_end_with_a_program_that_is_killed(way: str, tmp_path):
    end = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    (tmp_path / "program.py").write_text(LOADING.replace("{way}", way).replace("{end}", end))
    # Its output stays open for as long as one of its processes lives.
    (outcome,) = run_commands([sys.executable, tmp_path / "program.py"], timeout_s=60)
    assert outcome.code == -signal.SIGKILL
