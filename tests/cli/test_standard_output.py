"""Standard output and input that are closed, full, or that nobody reads."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = f"{sys.executable} -c 'from slowfast.cli.main import main; main()'"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Features of so many videos that their names do not fit a buffer."""
    paths = np.array([f"video number {number}.mp4" for number in range(3000)])
    settings = '{"model": "x", "tokens": false}'
    np.savez(tmp_path / "i.npz", paths=paths, clips=np.ones((3000, 1, 2), np.float32), settings=settings)
    return tmp_path / "i.npz"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "topk", "code", "told"),
    [
        (">/dev/full", 1, 2, "error: the output cannot be written: No space left on device\n"),
        (">/dev/full", 3000, 2, "error: the output cannot be written: No space left on device\n"),
        ("| true; exit ${PIPESTATUS[0]}", 3000, 1, ""),
        (">&-", 1, 0, ""),
    ],
)
def test_output_that_does_not_get_there(words: str, topk: int, code: int, told: str, index: Path):
    command = f"{PROGRAM} search {index} 'video number 7.mp4' --topk {topk} {words}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, told)


@pytest.mark.slow
def test_input_that_is_closed_is_empty():
    command = f"{PROGRAM} predict - --model nowhere <&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        2,
        "error: -: standard input is empty; accepted: the bytes of a video file\n",
    )
