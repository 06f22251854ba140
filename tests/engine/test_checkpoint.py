"""Checkpoint files: whole or not there, found again, and never a program."""

import logging
import re
from pathlib import Path

import pytest
import torch

from slowfast.config import load_config
from slowfast.engine import checkpoint as checkpoint_module
from slowfast.engine.checkpoint import CheckpointFolder, head_rules
from slowfast.errors import UserError
from tests.command_line import run_net, tiny_arguments


def save(folder: CheckpointFolder, epoch: int, step: int = 0, **names: bool) -> Path:
    return folder.save({"epoch": epoch, "step": step, "model_state": {"weight": torch.ones(100)}}, **names)


def names_in(folder: CheckpointFolder) -> set[str]:
    return {path.name for path in folder.folder.iterdir()}


def test_the_newest_checkpoint_is_the_one_furthest_in_training(tmp_path: Path):
    folder = CheckpointFolder(tmp_path)
    assert folder.newest() is None and folder.best() is None
    paths = [save(folder, epoch, is_epoch=True) for epoch in (9, 10, 2)]
    assert folder.newest() == paths[1]
    best = save(folder, 11, is_best=True)
    assert best == folder.best() == tmp_path / "checkpoints" / "checkpoint_best.pyth"
    assert folder.newest() == tmp_path / "checkpoints" / "checkpoint_last.pyth"
    assert save(folder, 11, step=3) == folder.newest()
    save(folder, 4, step=9)
    assert folder.newest() == best
    assert torch.load(best, weights_only=True)["epoch"] == 11


def test_one_save_may_have_three_names(tmp_path: Path):
    folder = CheckpointFolder(tmp_path)
    path = save(folder, 7, is_epoch=True, is_best=True)
    assert names_in(folder) == {"checkpoint_epoch_00007.pyth", "checkpoint_best.pyth", "checkpoint_last.pyth"}
    assert path.name == "checkpoint_epoch_00007.pyth" == folder.newest().name
    whole = path.read_bytes()
    save(folder, 8)  # leaves the other two alone
    assert path.read_bytes() == folder.best().read_bytes() == whole


def test_a_file_system_without_links_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*paths: Path) -> None:
        raise OSError("Operation not permitted")

    monkeypatch.setattr(checkpoint_module.os, "link", refuse)
    folder = CheckpointFolder(tmp_path)
    save(folder, 7, is_epoch=True, is_best=True)
    assert len({path.read_bytes() for path in folder.folder.iterdir()}) == 1 and len(names_in(folder)) == 3


def test_only_the_newest_checkpoints_of_epochs_are_kept(tmp_path: Path):
    folder = CheckpointFolder(tmp_path, num_kept=2)
    for epoch in range(5):
        save(folder, epoch, is_epoch=True, is_best=epoch == 1)
    assert [path.name for path in folder.epochs()] == ["checkpoint_epoch_00003.pyth", "checkpoint_epoch_00004.pyth"]
    assert torch.load(folder.best(), weights_only=True)["epoch"] == 1
    everything = CheckpointFolder(tmp_path / "all")
    for epoch in range(5):
        save(everything, epoch, is_epoch=True)
    assert len(everything.epochs()) == 5


def test_other_files_are_no_checkpoints(tmp_path: Path):
    folder = CheckpointFolder(tmp_path)
    path = save(folder, 3, is_epoch=True)
    for name in ("checkpoint_epoch_00004.pyth.tmp", "checkpoint_epoch_00005.pyth.bak", "checkpoint_epoch_x.pyth"):
        (folder.folder / name).write_bytes(b"half a checkpoint")
    assert folder.newest() == path
    folder.remove_halves()
    assert names_in(folder) == {
        path.name,
        "checkpoint_last.pyth",
        "checkpoint_epoch_00005.pyth.bak",
        "checkpoint_epoch_x.pyth",
    }


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint_is_left_out_with_a_warning(
    share: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder = CheckpointFolder(tmp_path)
    whole = save(folder, 1, is_epoch=True)
    last = save(folder, 2)
    content = last.read_bytes()
    last.write_bytes(content[: int(share * len(content))])
    logging.getLogger("slowfast").propagate = True
    assert folder.newest() == whole
    assert re.search(r"WARNING .*checkpoint_last\.pyth cannot be read and is left out: \w+", caplog.text)


def test_training_does_not_begin_anew_over_checkpoints_that_cannot_be_read(video_set: Path, tmp_path: Path):
    save(CheckpointFolder(tmp_path), 1, is_epoch=True)
    for path in (tmp_path / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    outcome = run_net(*tiny_arguments(video_set, tmp_path))
    assert re.search(
        r"none of the checkpoints can be read \(checkpoint_epoch_00001.pyth, checkpoint_last.pyth\); remove them, or "
        r"set TRAIN.AUTO_RESUME False",
        outcome.error,
    )


def test_an_interrupted_save_leaves_the_old_checkpoints_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = CheckpointFolder(tmp_path)
    old = save(folder, 1, is_epoch=True, is_best=True).read_bytes()

    def half(content: object, file) -> None:
        file.write(b"half")
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint_module.torch, "save", half)
        for epoch in (1, 2):
            with pytest.raises(UserError, match=r"checkpoint_last.pyth cannot be written \(No space left on device\)"):
                save(folder, epoch, is_epoch=True, is_best=True)
    assert folder.newest().read_bytes() == folder.best().read_bytes() == old
    # Killed between giving the new file its names: it is the best one already, and still has the temporary name.
    assert not list(folder.folder.glob("*.tmp"))
    (folder.folder / "checkpoint_last.pyth.tmp").hardlink_to(folder.best())
    save(folder, 2)
    assert folder.best().read_bytes() == old


class Program:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("use", ["to test", "to train from", "to resume from"])
def test_a_checkpoint_runs_no_code(use: str, video_set: Path, tmp_path: Path):
    trap = tmp_path / "it ran"
    folder = CheckpointFolder(tmp_path / "run")
    path = folder.save({"epoch": 0, "model_state": {}, "surprise": Program(trap)}, is_epoch=True)
    overrides = {
        "to test": ["TRAIN.ENABLE", "False"],
        "to train from": ["TRAIN.AUTO_RESUME", "False", "TRAIN.CHECKPOINT_FILE_PATH", path],
        "to resume from": [],
    }
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides[use]))
    assert re.search(r"checkpoint_epoch_00000\.pyth|none of the checkpoints can be read", outcome.error)
    assert not trap.exists()
    with pytest.raises(Exception, match="weights_only"):
        torch.load(path)
    torch.load(path, weights_only=False)
    assert trap.exists()  # the trap works


@pytest.mark.parametrize(
    ("overrides", "is_test", "resets"),
    [
        (["MODEL.MODEL_NAME", "Uniformerv2"], False, False),
        (["UNIFORMERV2.DELETE_SPECIAL_HEAD", True], False, True),
        (["UNIFORMERV2.DELETE_SPECIAL_HEAD", True], True, False),
        (["MODEL.MODEL_NAME", "Uniformer"], False, True),
        (["MODEL.MODEL_NAME", "Uniformer", "MODEL.CHECKPOINT_CLASS_ORDER", "ucf101"], False, False),
        (["MODEL.MODEL_NAME", "Uniformer"], True, False),
    ],
)
def test_what_becomes_of_a_classifier_of_another_size_is_the_familys_key(overrides, is_test, resets):
    cfg = load_config(None, overrides)
    rules = head_rules(cfg, ["a"], is_test=is_test)
    assert (rules.resets_other_size, rules.is_test) == (resets, is_test)
    assert rules.order == cfg.MODEL.CHECKPOINT_CLASS_ORDER
