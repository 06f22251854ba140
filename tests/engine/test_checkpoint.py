"""Checkpoint files: whole or not there, found again, and never a program."""

import logging
import random
import re
import sys
from pathlib import Path

import pytest
import torch

from slowfast.config import load_config
from slowfast.engine import checkpoint as checkpoint_module
from slowfast.engine.checkpoint import CheckpointFolder, head_rules
from slowfast.engine.resume import read_together
from slowfast.errors import UserError
from slowfast.runtime import distributed
from tests.command_line import RUN_NET, run_commands, run_net, tiny_arguments
from tests.models.weights.test_integrity import damage


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


def test_the_newest_checkpoint_is_one_whose_checksums_fit(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder = CheckpointFolder(tmp_path)
    whole = save(folder, 1, is_epoch=True)
    last = save(folder, 2)
    damage(last, random.Random(0))
    torch.load(last, weights_only=True)  # which tells nothing
    logging.getLogger("slowfast").propagate = True
    assert folder.newest() == whole
    assert re.search(
        r"WARNING .*checkpoint_last\.pyth cannot be read and is left out: the checksum of its", caplog.text
    )
    damage(whole, random.Random(0))
    with pytest.raises(
        UserError, match=r"none of the checkpoints can be read \(checkpoint_last.pyth, checkpoint_epoch_0"
    ):
        folder.newest()


@pytest.mark.parametrize(
    ("part", "value", "told"),
    [
        ("model_state", 5.0, "the tensors of its model_state are not those that were saved"),
        ("optimizer_state", 5.0, "the tensors of its optimizer_state are not those that were saved"),
        ("ema_state", float("nan"), "ema_state: 1 of the 16 values of backbone.class_embedding are not finite"),
        ("optimizer_state", float("inf"), r"optimizer_state: 1 of the \d+ values of state.0.exp_avg_sq are not finite"),
    ],
)
def test_a_run_does_not_resume_from_damaged_tensors(
    part: str, value: float, told: str, video_set: Path, tmp_path: Path
):
    arguments = tiny_arguments(video_set, tmp_path, "MODEL.EMA_EPOCH", 0, "SOLVER.MAX_EPOCH", 1, "TEST.ENABLE", "False")
    assert run_net(*arguments).code == 0
    path = tmp_path / "checkpoints" / "checkpoint_last.pyth"
    content = torch.load(path, weights_only=True)
    assert content["tensor_hashes"].keys() == {"model_state", "ema_state", "optimizer_state"}
    tree = content[part]
    tensor = tree["state"][0]["exp_avg_sq"] if part == "optimizer_state" else tree["backbone.class_embedding"]
    tensor.view(-1)[0] = value
    if value != 5.0:
        del content["tensor_hashes"]
    for other in path.parent.iterdir():
        other.unlink()
    torch.save(content, path)
    outcome = run_net(*arguments[:-4], "SOLVER.MAX_EPOCH", 2)
    assert re.search(rf"checkpoint_last\.pyth: {told}", outcome.error)


@pytest.mark.slow
def test_of_two_processes_one_checks_the_file_and_both_end(video_set: Path, tmp_path: Path):
    arguments = tiny_arguments(video_set, tmp_path / "run", "SOLVER.MAX_EPOCH", 1)
    assert run_net(*arguments, "TEST.ENABLE", "False").code == 0
    path = tmp_path / "run" / "checkpoints" / "checkpoint_best.pyth"
    damage(path, random.Random(0), 1)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", 2, RUN_NET]
    (outcome,) = run_commands([*torchrun, *arguments, "TRAIN.ENABLE", "False", "TEST.TEST_BEST", "True"], timeout_s=100)
    assert outcome.err.count("error: ") == 1, outcome.err
    assert "checkpoint_best.pyth: the checksum of its part" in outcome.err


@pytest.mark.parametrize(("rank", "size", "leads"), [(0, "2", True), (1, "2", False), (2, "2", True), (3, "1", True)])
def test_one_process_of_each_node_checks(
    rank: int, size: str, leads: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = save(CheckpointFolder(tmp_path), 1, is_epoch=True)
    damage(path, random.Random(0))
    monkeypatch.setattr(distributed, "rank", lambda: rank)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", size)
    if leads:
        with pytest.raises(UserError, match="the checksum of its part"):
            read_together(path)
    else:
        with pytest.raises(UserError, match="lacks optimizer_state, best_accuracy, so that there is nothing to resume"):
            read_together(path)
