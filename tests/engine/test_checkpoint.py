"""Checkpoint files: whole or not there, found again, and never a program."""

import re
from pathlib import Path

import pytest
import torch

from slowfast.engine import checkpoint as checkpoint_module
from slowfast.engine.checkpoint import CheckpointFolder
from tests.engine.command_line import run_net, tiny_arguments


def save(folder: CheckpointFolder, epoch: int, **arguments) -> Path:
    return folder.save({"epoch": epoch, "model_state": {"weight": torch.ones(2)}}, **arguments)


def test_the_latest_checkpoint_is_that_of_the_highest_epoch(tmp_path: Path):
    folder = CheckpointFolder(tmp_path)
    assert folder.latest() is None and folder.best() is None
    paths = [save(folder, epoch) for epoch in (9, 10, 2)]
    best = save(folder, 4, is_best=True)
    assert folder.latest() == paths[1] and folder.best() == best
    assert torch.load(best, weights_only=True)["epoch"] == 4


def test_other_files_are_no_checkpoints(tmp_path: Path):
    folder = CheckpointFolder(tmp_path)
    path = save(folder, 3)
    for name in ("checkpoint_epoch_00004.pyth.tmp", "checkpoint_epoch_00005.pyth.bak", "checkpoint_epoch_x.pyth"):
        (folder.folder / name).write_bytes(b"half a checkpoint")
    assert folder.latest() == path


def test_removing_is_for_one_epoch(tmp_path: Path):
    folder = CheckpointFolder(tmp_path)
    kept = save(folder, 1)
    save(folder, 2)
    for epoch in (2, 7, -1):  # those that are not there, too
        folder.remove(epoch)
    assert list(folder.folder.iterdir()) == [kept]


def test_an_interrupted_save_leaves_the_old_checkpoint_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = CheckpointFolder(tmp_path)
    old = save(folder, 1).read_bytes()

    def half(content: object, file) -> None:
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint_module.torch, "save", half)
    for epoch in (1, 2):
        with pytest.raises(OSError, match="No space left"):
            save(folder, epoch)
    assert folder.latest().read_bytes() == old


class Program:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("use", ["to test", "to train from", "to go on from"])
def test_a_checkpoint_runs_no_code(use: str, video_set: Path, tmp_path: Path):
    trap = tmp_path / "it ran"
    path = CheckpointFolder(tmp_path / "run").save({"epoch": 0, "model_state": {}, "surprise": Program(trap)})
    overrides = {
        "to test": ["TRAIN.ENABLE", "False"],
        "to train from": ["TRAIN.AUTO_RESUME", "False", "TRAIN.CHECKPOINT_FILE_PATH", path],
        "to go on from": [],
    }
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides[use]))
    assert re.search(r"checkpoint_epoch_00000\.pyth", outcome.error)
    assert not trap.exists()
    with pytest.raises(Exception, match="weights_only"):
        torch.load(path)
    torch.load(path, weights_only=False)
    assert trap.exists()  # the trap works
