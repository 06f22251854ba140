"""Rare classes: what is said of them, and trainings with balanced sampling and with weights."""

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from slowfast.config import load_config
from slowfast.engine import train
from slowfast.engine.class_balance import imbalance_warning
from slowfast.engine.step import take_step
from slowfast.solver.loss import LOSS_REGISTRY, build_loss
from tests.command_line import run_commands, run_net, tiny_arguments
from tests.registration import registered
from tests.run_state import assert_same_state, checkpoint, metrics
from tests.videos import write_list

BALANCED = ["TRAIN.CLASS_SAMPLING", "balanced"]


@pytest.fixture
def lists(video_set: Path, tmp_path: Path) -> Path:
    """Lists with 7 training videos of class 0 and one of class 1."""
    folder = tmp_path / "lists"
    folder.mkdir()
    for split in ("val", "test"):
        shutil.copy(video_set / f"{split}.csv", folder)
    write_list(folder / "train.csv", [(f"videos/train_{i}.mp4", int(i == 3)) for i in range(8)])
    return folder


def arguments(video_set: Path, lists: Path, output_dir: Path, *overrides: object) -> list[str]:
    words = ["DATA.PATH_TO_DATA_DIR", lists, "TEST.ENABLE", False, "SOLVER.MAX_EPOCH", 2, *overrides]
    return tiny_arguments(video_set, output_dir, *words)


def seen_by(monkeypatch: pytest.MonkeyPatch, *, fails_at: int = 0) -> list[int]:
    """The list that the videos of all steps go to; the training breaks off before a step, if asked to."""
    seen: list[int] = []
    steps = iter(range(1, 1000))

    def take(*words):
        if next(steps) == fails_at:
            raise ConnectionError("broken off")
        result = take_step(*words)
        seen.extend(torch.cat(result.video_idx).tolist())
        return result

    monkeypatch.setattr(train, "take_step", take)
    return seen


# What is said


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ([], ": TRAIN.CLASS_SAMPLING balanced draws all classes equally often, MODEL.CLASS_WEIGHTS balanced lets them"),
        (["DATA.MULTI_LABEL", True, "MODEL.LOSS_FUNC", "bce_logit"], ": MODEL.CLASS_WEIGHTS balanced lets them count"),
        (["MODEL.LOSS_FUNC", "mine"], ": TRAIN.CLASS_SAMPLING balanced draws all classes equally often"),
    ],
)
def test_classes_that_differ_by_more_than_ten_times_are_warned_of(overrides: list, told: str):
    counts = np.array([41, 0, 4, 9])
    with registered(LOSS_REGISTRY, len, name="mine"):
        cfg = load_config(None, overrides)
        line = imbalance_warning(cfg, counts, ["run", "sit", "nap", "eat"])
        start = "the training list has 41 videos of class 0 (run) and 4 of class 2 (nap), 10 times as many; "
        assert line.startswith(f"{start}rare classes may be learned badly{told}") and "\n" not in line
        assert "of class 0 and 4 of class 2," in imbalance_warning(cfg, counts, None)
        assert imbalance_warning(cfg, np.array([40, 0, 4, 9]), None) is None  # ten times, and no more


def test_nothing_is_said_where_something_is_done():
    for overrides in (BALANCED, ["MODEL.CLASS_WEIGHTS", "balanced"]):
        assert imbalance_warning(load_config(None, overrides), np.array([1000, 1]), None) is None


def test_the_warning_comes_once_at_the_start(video_set: Path, lists: Path, tmp_path: Path):
    write_list(lists / "train.csv", [(f"videos/train_{i % 8}.mp4", int(i == 3)) for i in range(13)])
    more = ["SOLVER.MAX_EPOCH", 1, "MODEL.NUM_CLASSES", 3]
    outcome = run_net(*arguments(video_set, lists, tmp_path / "run", *more))
    assert (outcome.code, outcome.err) == (0, "")
    assert (
        outcome.out.count("WARNING the training list has 12 videos of class 0 and 1 of class 1, 12 times as many") == 1
    )
    assert outcome.out.count("INFO 1 of 3 classes have no training videos, such as class 2") == 1


# Balanced sampling


def test_every_epoch_has_both_classes_equally_often(
    video_set: Path, lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = seen_by(monkeypatch)
    outcome = run_net(*arguments(video_set, lists, tmp_path / "run", *BALANCED, "TRAIN.BATCH_SIZE", 2))
    assert (outcome.code, outcome.err) == (0, "")
    assert (
        "TRAIN.CLASS_SAMPLING balanced: an epoch draws 4 videos of each of 2 classes, 5 different ones of 8; a video "
        "comes up to 4 times" in outcome.out
    )
    assert "times as many" not in outcome.out and "leaves out" not in outcome.out
    for epoch in (seen[:8], seen[8:]):
        times = Counter(epoch)
        assert times[3] == 4 and len(times) == 5
        assert all(epoch[i : i + 2].count(3) == 1 for i in range(0, 8, 2))  # and every batch, too


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_training_that_breaks_off_within_an_epoch_ends_as_if_it_had_not(
    num_workers: int, video_set: Path, lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    words = [*BALANCED, "TRAIN.BATCH_SIZE", 1, "AUG.ENABLE", True, "DATA_LOADER.NUM_WORKERS", num_workers]
    words += ["TRAIN.CHECKPOINT_SECONDS", 1e-6]
    seen = seen_by(monkeypatch)
    assert run_net(*arguments(video_set, lists, tmp_path / "whole", *words)).code == 0
    broken_off = seen_by(monkeypatch, fails_at=13)  # the fifth step of the second epoch
    with pytest.raises(ConnectionError):
        run_net(*arguments(video_set, lists, tmp_path / "resumed", *words))
    rest = seen_by(monkeypatch)
    outcome = run_net(*arguments(video_set, lists, tmp_path / "resumed", *words))
    assert outcome.code == 0 and "checkpoint_last.pyth: 1 epochs and 4 steps done" in outcome.out
    assert broken_off == seen[:12] and rest == seen[12:]
    assert_same_state(checkpoint(tmp_path / "whole", 1), checkpoint(tmp_path / "resumed", 1))
    losses = [[line["loss"] for line in metrics(tmp_path / name, "train")] for name in ("whole", "resumed")]
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_two_processes_compute_what_one_does_with_both(video_set: Path, lists: Path, tmp_path: Path):
    """Balanced sampling shares the same steps out, and weights do not depend on who has which videos."""
    data = ["DATA.PATH_TO_DATA_DIR", str(lists), "DATA.PATH_PREFIX", str(video_set)]
    plain = ["UNIFORMERV2.MLP_DROPOUT", [0.0], "UNIFORMERV2.CLS_DROPOUT", 0.0, "SOLVER.MAX_EPOCH", 2]
    sgd = ["SOLVER.OPTIMIZING_METHOD", "sgd", "SOLVER.BASE_LR", 0.05, "SOLVER.WARMUP_START_LR", 0.01]
    tasks = {
        "sampling": ["train", [*data, *plain, *sgd, *BALANCED]],
        "weights": ["train", [*data, *plain, *sgd, "MODEL.CLASS_WEIGHTS", "balanced"]],
        "neither": ["train", [*data, *plain, *sgd]],
    }
    commands = []
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "tasks.json").write_text(json.dumps(tasks))
        program = [sys.executable, "-m", "tests.engine.training_program", tmp_path / str(number)]
        commands.append(["env", f"LOCAL_WORLD_SIZE={number}", *program])
    for outcome in run_commands(*commands, environment={"OMP_NUM_THREADS": "1"}):
        assert (outcome.code, outcome.err) == (0, ""), outcome.err
    losses = {
        (number, name): [line["loss"] for line in metrics(tmp_path / number / name, "train")]
        for number in ("1", "2")
        for name in tasks
    }
    for name in tasks:
        assert losses["2", name] == pytest.approx(losses["1", name], rel=1e-5, abs=1e-6)
    assert losses["1", "weights"] != pytest.approx(losses["1", "neither"], rel=1e-3)


# Weights


def test_a_training_takes_the_weights_and_says_them(video_set: Path, lists: Path, tmp_path: Path):
    """The first loss is that of the same logits with weights 8 / 14 and 8 / 2."""
    words = ["SOLVER.MAX_EPOCH", 1, "SOLVER.WARMUP_EPOCHS", 0, "TRAIN.BATCH_SIZE", 1]
    words += ["UNIFORMERV2.MLP_DROPOUT", [0.0], "UNIFORMERV2.CLS_DROPOUT", 0.0, "SOLVER.BASE_LR", 0.0]
    outcome = run_net(*arguments(video_set, lists, tmp_path / "w", *words, "MODEL.CLASS_WEIGHTS", "balanced"))
    assert (outcome.code, outcome.err) == (0, "")
    told = "MODEL.CLASS_WEIGHTS balanced: weights from 0.571 to 4, 1 on average over the labels of the training videos"
    assert outcome.out.count(told) == 1
    assert run_net(*arguments(video_set, lists, tmp_path / "plain", *words)).code == 0
    weighted, plain = ([line["loss"] for line in metrics(tmp_path / name, "train")] for name in ("w", "plain"))
    ratios = sorted(one / other for one, other in zip(weighted, plain, strict=True))
    assert ratios == pytest.approx([8 / 14] * 7 + [4], rel=1e-5)


def test_a_bad_file_of_weights_ends_a_training_before_anything_is_written(video_set: Path, lists: Path, tmp_path: Path):
    (tmp_path / "weights").write_text("1\ntwo\n")
    words = ["MODEL.CLASS_WEIGHTS", tmp_path / "weights"]
    outcome = run_net(*arguments(video_set, lists, tmp_path / "run", *words))
    told = "2: 'two' is no weight; accepted: a finite number from 0 on"
    assert outcome.error == f"MODEL.CLASS_WEIGHTS {tmp_path / 'weights'}:{told}"
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_an_own_loss_that_takes_weights_gets_them():
    def weighted(logits, targets, *, class_weights=None):
        return F.cross_entropy(logits, targets, class_weights)

    logits, targets, weights = torch.randn(5, 2), torch.tensor([0, 1, 1, 0, 1]), torch.tensor([1.0, 3.0])
    with registered(LOSS_REGISTRY, weighted, name="own", takes_class_weights=True):
        cfg = load_config(None, ["MODEL.LOSS_FUNC", "own", "MODEL.CLASS_WEIGHTS", "balanced"])
        assert torch.equal(build_loss(cfg, weights)(logits, targets), F.cross_entropy(logits, targets, weights))
