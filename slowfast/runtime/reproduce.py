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


def random_states(device: torch.device) -> dict[str, Any]:
    """Where the generators of this process stand, as tensors and plain containers."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    states = {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Set the generators to where ``random_states`` found them."""
    kind, keys, position, has_gauss, gauss = states["numpy"]
    random.setstate(states["python"])
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    torch.set_rng_state(states["torch"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


def _git(*arguments: str) -> str | None:
    """Output of a git command in the source tree; None if the code runs from elsewhere or git is missing."""
    root = Path(slowfast.__file__).resolve().parents[1]
    try:
        result = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def git_commit() -> str | None:
    """Of the source tree; None if the code runs from elsewhere or git is missing."""
    return _git("rev-parse", "HEAD")


def versions() -> dict[str, str | None]:
    """Of this package, Python, PyTorch and CUDA."""
    return {
        "slowfast": slowfast.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
    }


def environment_stamp(seed: int) -> dict[str, Any]:
    """Versions, devices, commit, seed and command line, as JSON values."""
    status = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "command": sys.argv,
        "seed": seed,
        "git_commit": git_commit(),
        "git_dirty": None if status is None else bool(status),
        **versions(),
        "platform": platform.platform(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "cpu_threads": torch.get_num_threads(),
    }
