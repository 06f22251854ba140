"""Processes that leave stop signals to their parent, and end with it."""

import sys

import pytest

from tests.command_line import run_commands

LOADING = """
from torch.utils.data import DataLoader
from slowfast.runtime.interruption import ignore_stop_signals

if __name__ == "__main__":
    loader = DataLoader(
        range(99), num_workers=1, persistent_workers=True, worker_init_fn=ignore_stop_signals,
        multiprocessing_context="{way}",
    )
    batches = iter(loader)
    next(batches)
    raise RuntimeError("in the middle of an epoch")
"""


@pytest.mark.parametrize("way", ["fork", "forkserver"])
def test_a_program_that_fails_while_processes_load_data_ends(way: str, tmp_path):
    (tmp_path / "program.py").write_text(LOADING.replace("{way}", way))
    (outcome,) = run_commands([sys.executable, tmp_path / "program.py"], timeout_s=60)
    assert outcome.code == 1
    assert outcome.err.rstrip().endswith("RuntimeError: in the middle of an epoch")
