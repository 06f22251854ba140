"""Two runs in one OUTPUT_DIR: the second one is refused, and a test beside a training is not."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from slowfast.engine import train
from slowfast.engine.train_run import TrainRun
from slowfast.runtime.folder_lock import LOCK_NAME, FolderLock
from tests.command_line import RUN_NET, Outcome, run_commands, run_net, tiny_arguments
from tests.run_state import report


def everything(folder: Path) -> dict[str, bytes]:
    """What there is, but for the locks, which are renewed."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != LOCK_NAME]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture
def output_dir(finished_run: tuple[Path, Outcome], tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run[0], tmp_path / "run"))


def test_a_second_training_is_refused_before_it_touches_anything(output_dir: Path, video_set: Path):
    with FolderLock(output_dir):
        before = everything(output_dir)
        for overrides in ([], ["TRAIN.AUTO_RESUME", "False"]):
            outcome = run_net(*tiny_arguments(video_set, output_dir, *overrides))
            assert outcome.code == 1
            assert outcome.error.startswith(f"{output_dir} is in use: process {os.getpid()} on host ")
        assert everything(output_dir) == before


def test_a_checkpoint_is_tested_while_training_goes_on_but_not_twice_at_once(output_dir: Path, video_set: Path):
    arguments = tiny_arguments(video_set, output_dir, "TRAIN.ENABLE", "False")
    with FolderLock(output_dir):
        assert run_net(*arguments).code == 0
        with FolderLock(output_dir / "test"):
            before = everything(output_dir)
            assert run_net(*arguments).error.startswith(f"{output_dir / 'test'} is in use: process {os.getpid()} on")
            assert everything(output_dir) == before


def test_no_lock_is_left_and_no_folder_where_nothing_was_written(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    assert not list(finished_run[0].rglob(f"{LOCK_NAME}*"))
    for overrides in ([], ["TRAIN.ENABLE", "False"]):
        missing = ["DATA.CLASS_NAMES_FILE", "/no/names", "TEST.CHECKPOINT_FILE_PATH", "/no/weights"]
        assert run_net(*tiny_arguments(video_set, tmp_path / "new" / "run", *missing, *overrides)).code == 1
        assert not (tmp_path / "new").exists()


def test_a_training_whose_folder_was_taken_over_saves_nothing_more(
    video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Suspended for longer than the lock lasts, say; here another one's lock is there from the first step on."""
    other = {"id": "a1", "host": "elsewhere", "kernel": "", "pid": 17, "started": "", "job": "", "since": "now"}
    log_plan = train.log_plan

    def take_over(run: TrainRun) -> None:
        log_plan(run)
        (tmp_path / "run" / LOCK_NAME).write_text(json.dumps(other))

    monkeypatch.setattr(train, "log_plan", take_over)
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run"))
    assert "process 17 on host elsewhere, since now, has taken this folder over" in outcome.error
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert json.loads((tmp_path / "run" / LOCK_NAME).read_text()) == other


@pytest.mark.slow
def test_two_processes_take_one_lock_and_are_refused_together(output_dir: Path, video_set: Path):
    command = [sys.executable, RUN_NET, *tiny_arguments(video_set, output_dir, "SOLVER.MAX_EPOCH", 5)]
    environment = {"LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    with FolderLock(output_dir):
        before = everything(output_dir)
        (outcome,) = run_commands(command, environment=environment, timeout_s=90)
        assert outcome.error.startswith(f"{output_dir} is in use: process {os.getpid()} on host ")
        assert everything(output_dir) == before
    (outcome,) = run_commands(command, environment=environment, timeout_s=90)
    assert outcome.code == 0, outcome.err
    assert report(output_dir)["scored"] == 6 and not list(output_dir.rglob(f"{LOCK_NAME}*"))
