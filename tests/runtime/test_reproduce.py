"""Seeds, and the stamp of what a run depended on."""

import json
import random
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import slowfast
from slowfast.runtime import reproduce


def draws(seed: int, epoch: int, rank: int) -> tuple:
    reproduce.seed_process(seed, epoch, rank)
    return random.random(), np.random.random(), torch.rand(1).item()


def test_seeding_repeats_all_three_generators():
    first = draws(1, 2, 3)
    draws(9, 9, 9)
    assert draws(1, 2, 3) == first


def test_seed_epoch_and_rank_each_change_the_draws():
    keys = [(1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4), (3, 2, 1), (0, 0, 0), (2**32 - 1, 0, 0)]
    for values in zip(*(draws(*key) for key in keys), strict=True):
        assert len(set(values)) == len(keys)


def test_the_stamp_names_versions_seed_command_and_commit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["run_net.py", "--cfg", "a b.yaml"])
    monkeypatch.setattr(reproduce, "_git", lambda *arguments: "abc123" if arguments[0] == "rev-parse" else "M a.py")
    stamp = reproduce.environment_stamp(7)
    assert json.loads(json.dumps(stamp)) == stamp
    assert stamp["command"] == ["run_net.py", "--cfg", "a b.yaml"] and stamp["seed"] == 7
    assert stamp["git_commit"] == "abc123" and stamp["git_dirty"] is True
    assert stamp["torch"] == torch.__version__ and stamp["slowfast"] == slowfast.__version__
    assert re.fullmatch(r"3\.\d+\.\d+\S*", stamp["python"])
    assert len(stamp["gpus"]) == torch.cuda.device_count()


def test_a_tree_without_git_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slowfast, "__file__", str(tmp_path / "slowfast" / "__init__.py"))
    stamp = reproduce.environment_stamp(0)
    assert stamp["git_commit"] is None and stamp["git_dirty"] is None
    monkeypatch.setenv("PATH", str(tmp_path))  # no git at all
    assert reproduce.environment_stamp(0)["git_commit"] is None


def test_random_states_bring_every_generator_back(tmp_path: Path):
    def draw() -> list[float]:
        return [random.gauss(0, 1), np.random.standard_normal(), torch.randn(()).item(), np.random.random()]

    reproduce.seed_process(1, 2, 3)
    draw()  # a pair of gaussians is drawn at once; the second one waits
    torch.save(reproduce.random_states(torch.device("cpu")), tmp_path / "states")
    expected = [draw(), draw()]
    reproduce.seed_process(4, 5, 6)
    assert draw() != expected[0]
    states = torch.load(tmp_path / "states", weights_only=True)  # plain containers and tensors
    reproduce.restore_random_states(states, torch.device("cpu"))
    assert [draw(), draw()] == expected
