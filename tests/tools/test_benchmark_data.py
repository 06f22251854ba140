"""tools/benchmark_data.py: its table, and what it refuses."""

import os
from pathlib import Path

import pytest

from tests.command_line import run_tool
from tests.videos import write_video


@pytest.fixture(autouse=True)
def all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests keep theirs."""
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None, raising=False)


def test_each_task_is_measured_and_compared(tmp_path: Path):
    outcome = run_tool("benchmark_data", write_video(tmp_path / "a.mp4", 12), "--repeats", 1, "--memory-clips", 10)
    lines = outcome.out.splitlines()
    assert lines[0] == "a.mp4: medians of 1"
    for task in ("8 sparse frames, ours", "4 x 3 test views, ours", "training sample, ours"):
        assert any(line.strip().startswith(task) for line in lines)
    (others,) = (line.split() for line in lines if "twelve of ours" in line)
    cpu_ms, wall_ms, cpu_share, wall_share = map(float, others[-4:])
    assert cpu_share > 0 and wall_share > 0 and cpu_ms > 0 and wall_ms > 0
    memory = lines[-1].partition("median of each tenth: ")[2].split()
    assert "over 10 training clips" in lines[-1] and len(memory) == 10 and float(memory[0]) > 10


def test_a_video_that_cannot_be_read_is_named(tmp_path: Path):
    outcome = run_tool("benchmark_data", tmp_path / "none.mp4")
    assert outcome.error.startswith(f"{tmp_path / 'none.mp4'}: No such file or directory")


def test_no_repeats_are_refused():
    outcome = run_tool("benchmark_data", "a.mp4", "--repeats", 0)
    assert outcome.code == 2
    assert outcome.err.endswith("argument --repeats: '0'; accepted: whole numbers from 1\n")
