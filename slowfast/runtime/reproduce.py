"""What a run depends on beside its config: seeds, and the environment, which is recorded."""

import platform
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import slowfast


def seed_process(seed: int, epoch: int, rank: int) -> None:
    """Seed Python's, NumPy's and PyTorch's generators by (seed, epoch, rank): dropout and stochastic depth."""
    state = int(np.random.SeedSequence((seed, epoch, rank)).generate_state(1)[0])
    random.seed(state)
    np.random.seed(state)
    torch.manual_seed(state)


def _git(*arguments: str) -> str | None:
    """Output of a git command in the source tree; None if the code runs from elsewhere or git is missing."""
    root = Path(slowfast.__file__).resolve().parents[1]
    try:
        result = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def environment_stamp(seed: int) -> dict[str, Any]:
    """Versions, devices, commit, seed and command line, as JSON values."""
    status = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "command": sys.argv,
        "seed": seed,
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": None if status is None else bool(status),
        "slowfast": slowfast.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "platform": platform.platform(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "cpu_threads": torch.get_num_threads(),
    }
