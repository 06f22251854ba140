"""SOLVER.PATIENCE: a training ends once validations bring no new best accuracy."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tests.command_line import Outcome, run_commands, run_net, tiny_arguments
from tests.run_state import checkpoint, metrics, report

# By epoch; those after the end must never be asked for.
ACCURACIES = [30.0, 60.0, 50.0, 60.0, 55.0, 40.0, 70.0, 65.0, 60.0]
END = "training ends after %d of %d epochs: %d validations in a row were not above the best accuracy, %.2f %% "


def validate_as(accuracies: Sequence[float | None], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let validations give these accuracies; returns the list that the validated epochs go to."""
    asked: list[int] = []

    def validate(run: object, epoch: int) -> float | None:
        asked.append(epoch)
        return accuracies[epoch]

    monkeypatch.setattr("slowfast.engine.train.validate", validate)
    return asked


def train(video_set: Path, folder: Path, *overrides: object) -> Outcome:
    words = ["LOG_PERIOD", 100, "SOLVER.MAX_EPOCH", 8, "TRAIN.CHECKPOINT_PERIOD", 100, "TEST.ENABLE", False]
    return run_net(*tiny_arguments(video_set, folder, *words, *overrides))


def test_training_ends_after_so_many_validations_without_a_new_best(
    video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = validate_as(ACCURACIES, monkeypatch)
    outcome = train(video_set, tmp_path, "SOLVER.PATIENCE", 3, "TEST.ENABLE", True)
    assert (outcome.code, outcome.err) == (0, "")
    assert "ends early, after epoch 4 or later, once 3 validations in a row bring no new best accuracy" in outcome.out
    assert outcome.out.count(END % (5, 8, 3, 60.0)) == 1
    assert asked == [0, 1, 2, 3, 4]  # an equal accuracy is none better
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["checkpoint_best.pyth", "checkpoint_epoch_00004.pyth", "checkpoint_last.pyth"]
    assert report(tmp_path)["scored"] == 6  # the test follows as ever
    # The schedule is that of MAX_EPOCH.
    whole = train(video_set, tmp_path / "whole", "LOG_PERIOD", 1)
    assert whole.code == 0
    rates = [[line["lr"] for line in metrics(folder, "train")] for folder in (tmp_path, tmp_path / "whole")]
    assert rates[0] == rates[1][1:10:2]


def test_a_training_that_ended_early_stays_so_until_a_key_is_raised(
    video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = validate_as(ACCURACIES, monkeypatch)
    assert train(video_set, tmp_path, "SOLVER.PATIENCE", 2).code == 0
    assert asked == [0, 1, 2, 3]
    outcome = train(video_set, tmp_path, "SOLVER.PATIENCE", 2)
    assert outcome.code == 0 and asked == [0, 1, 2, 3] and outcome.out.count(END % (4, 8, 2, 60.0)) == 1
    assert "a larger PATIENCE or SOLVER.MAX_EPOCH trains on" in outcome.out
    outcome = train(video_set, tmp_path, "SOLVER.PATIENCE", 3)  # one more without a new best
    assert asked == [0, 1, 2, 3, 4] and outcome.out.count(END % (5, 8, 3, 60.0)) == 1
    outcome = train(video_set, tmp_path, "SOLVER.PATIENCE", 2, "SOLVER.MAX_EPOCH", 9)  # which starts the count anew
    assert outcome.code == 0 and asked == list(range(9))
    assert "training ends after" not in outcome.out  # two without a new best, and all epochs


def test_a_resumed_training_goes_on_counting(video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Also from a checkpoint of before the key, which has counted nothing."""
    asked = validate_as(ACCURACIES, monkeypatch)
    words = ["SOLVER.PATIENCE", 3, "TRAIN.CHECKPOINT_PERIOD", 1]
    assert train(video_set, tmp_path, *words).code == 0
    folder = tmp_path / "checkpoints"
    for path in folder.iterdir():
        if path.name != "checkpoint_epoch_00002.pyth":
            path.unlink()
    assert checkpoint(tmp_path, 2)["num_without_best"] == 1
    asked.clear()
    assert train(video_set, tmp_path, *words).code == 0
    assert asked == [3, 4]
    content = torch.load(folder / "checkpoint_epoch_00002.pyth", weights_only=True)
    del content["num_without_best"]
    for path in folder.iterdir():
        path.unlink()
    torch.save(content, folder / "checkpoint_epoch_00002.pyth")
    asked.clear()
    assert train(video_set, tmp_path, *words).code == 0
    assert asked == [3, 4, 5]


def test_validations_without_an_accuracy_count_and_epochs_without_validation_do_not(
    video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = validate_as([0.0, 50.0, 0.0, None, 0.0, 40.0, 0.0, 70.0], monkeypatch)
    outcome = train(video_set, tmp_path, "SOLVER.PATIENCE", 2, "TRAIN.EVAL_PERIOD", 2)
    assert asked == [1, 3, 5] and END % (6, 8, 2, 50.0) in outcome.out


def test_a_patience_that_never_ends_a_training_is_warned_of(
    video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    validate_as(ACCURACIES, monkeypatch)
    outcome = train(video_set, tmp_path, "SOLVER.PATIENCE", 2, "TRAIN.EVAL_PERIOD", 3, "SOLVER.MAX_EPOCH", 2)
    assert outcome.out.count("WARNING SOLVER.PATIENCE 2 never ends this training early: with TRAIN.EVAL_PERIOD 3") == 1
    assert "it could after epoch 9, and SOLVER.MAX_EPOCH is 2" in outcome.out


@pytest.mark.slow
def test_all_processes_end_in_the_same_epoch(video_set: Path, tmp_path: Path):
    """Rank 0 alone knows the accuracy; without a learning rate it never changes."""
    data = ["DATA.PATH_TO_DATA_DIR", str(video_set), "DATA.PATH_PREFIX", str(video_set)]
    still = ["SOLVER.BASE_LR", 0.0, "SOLVER.WARMUP_START_LR", 0.0, "SOLVER.PATIENCE", 2, "SOLVER.MAX_EPOCH", 20]
    (tmp_path / "tasks.json").write_text(json.dumps({"run": ["train", [*data, *still]]}))
    program = ["env", "LOCAL_WORLD_SIZE=2", sys.executable, "-m", "tests.engine.training_program", tmp_path]
    (outcome,) = run_commands(program, environment={"OMP_NUM_THREADS": "1"})
    assert (outcome.code, outcome.err) == (0, "")
    validated = [line["epoch"] for line in metrics(tmp_path / "run", "val")]
    assert validated[-1] < 20 and checkpoint(tmp_path / "run", validated[-1] - 1)["num_without_best"] == 2
    assert len(re.findall(rf"training ends after {validated[-1]} of 20 epochs", outcome.out)) == 1
