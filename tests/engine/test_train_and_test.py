"""A whole run through tools/run_net.py: what it prints and writes, and resuming after an interruption."""

import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from slowfast.config import load_config
from slowfast.config.load import flatten
from tests.command_line import CONFIG, RUN_NET, Outcome, run_commands, run_net, tiny_arguments
from tests.odd_videos import IN_BAND_H264, write_sizes
from tests.run_state import (
    assert_same_figures,
    assert_same_state,
    checkpoint,
    metrics,
    predictions,
    report,
    report_wherever_it_lies,
)
from tests.videos import truncate, write_damaged_video, write_list, write_video


def copy_of(output_dir: Path, target: Path, names: Sequence[str] = ()) -> Path:
    """A folder with some of a run's checkpoints, or all."""
    (target / "checkpoints").mkdir(parents=True)
    for path in (output_dir / "checkpoints").iterdir():
        if not names or path.name in names:
            shutil.copy(path, target / "checkpoints")
    return target


# What a run leaves behind


def test_a_run_prints_accuracy_and_where_the_report_lies(finished_run: tuple[Path, Outcome]):
    output_dir, outcome = finished_run
    assert outcome.code == 0 and outcome.err == ""
    assert (
        "8 training videos, 4 validation videos; effective batch of 4 clips: 4 videos on each of 1 nodes x 1 "
        "accumulated x 1 clips of each video; 1 processes" in outcome.out
    )
    assert "4 epochs of 2 steps; effective learning rate 0.001, from 1e-05 in warm-up to 0 at the end" in outcome.out
    assert re.search(r"step 2/2: loss \d.*, \d+\.\d clips/s, \d\.\d\d GiB, 0:00:\d\d left", outcome.out)
    assert re.search(
        r"INFO top-1 \d+\.\d\d %, top-5 100\.00 % over 6 scored videos \(6 expected, 0 failed\)", outcome.out
    )
    assert str(output_dir / "test" / "report.json") in outcome.out
    assert "\r" not in outcome.out  # plain lines where there is no terminal
    assert (output_dir / "log.txt").read_text().strip() in outcome.out


def test_a_run_writes_its_resolved_config_which_loads_back_equal(finished_run: tuple[Path, Outcome], video_set: Path):
    output_dir, _ = finished_run
    arguments = tiny_arguments(video_set, output_dir)
    assert arguments[:2] == ["--cfg", str(CONFIG)]
    expected, found = load_config(CONFIG, arguments[2:]), load_config(output_dir / "config.yaml")
    assert dict(flatten(found)) == dict(flatten(expected))
    assert checkpoint(output_dir, 3)["config"] == (output_dir / "config.yaml").read_text() == expected.dump()


def test_a_run_writes_environment_and_seed(finished_run: tuple[Path, Outcome]):
    output_dir, outcome = finished_run
    stamp = json.loads((output_dir / "environment.json").read_text())
    assert stamp["seed"] == 1 and stamp["torch"] == torch.__version__
    assert stamp["command"][0] == str(RUN_NET) and str(CONFIG) in stamp["command"]
    assert {"git_commit", "python", "cuda", "gpus"} <= stamp.keys()
    commit = "no commit" if stamp["git_commit"] is None else f"commit {stamp['git_commit'][:12]}"
    for line in (outcome.out, (output_dir / "log.txt").read_text()):
        assert line.count(f"INFO slowfast {stamp['slowfast']}, {commit}") == 2  # training and testing
        assert f"PyTorch {torch.__version__}, " in line and f", seed 1: {RUN_NET} --cfg {CONFIG}" in line
    for name in ("config.yaml", "environment.json"):  # a test alone records them, too
        assert (output_dir / "test" / name).read_bytes() == (output_dir / name).read_bytes()


def test_a_run_logs_loss_and_times_of_every_step(finished_run: tuple[Path, Outcome]):
    output_dir, _ = finished_run
    steps = metrics(output_dir, "train")
    assert [line["step"] for line in steps] == list(range(1, 9))
    assert [line["epoch"] for line in steps] == [1, 1, 2, 2, 3, 3, 4, 4]
    for line in steps:
        assert 0 < line["data_time_s"] < line["step_time_s"] < 60
        assert line["loss"] > 0 and 0 <= line["top1"] <= 100 and line["grad_norm"] > 0
        assert line["num_replaced"] == 0
    assert steps[0]["lr"] == pytest.approx(1e-5)  # warm-up starts there
    validations = metrics(output_dir, "val")
    assert [line["step"] for line in validations] == [2, 4, 6, 8]
    assert all((line["expected"], line["scored"], line["failed"]) == (4, 4, 0) for line in validations)


def test_a_report_counts_and_scores_every_test_video(finished_run: tuple[Path, Outcome], video_set: Path):
    output_dir, _ = finished_run
    rows = predictions(output_dir)
    assert [row["path"] for row in rows] == [str(video_set / f"videos/test_{i}.mp4") for i in range(6)]
    assert [row["label"] for row in rows] == list("010101")
    scores = [[float(score) for score in row["scores"].split()] for row in rows]
    assert all(sum(row) == pytest.approx(1, abs=1e-4) for row in scores)  # softmax
    assert [row["prediction"] for row in rows] == [str(row.index(max(row))) for row in scores]
    summary = report(output_dir)
    assert (summary["expected"], summary["scored"], summary["failed"], summary["failures"]) == (6, 6, 0, [])
    num_correct = sum(row["label"] == row["prediction"] for row in rows)
    assert summary["top1"] == pytest.approx(100 * num_correct / 6) and summary["top5"] == 100


def test_a_checkpoint_holds_plain_data(finished_run: tuple[Path, Outcome]):
    output_dir, _ = finished_run
    content = checkpoint(output_dir, 3)  # weights_only: no code of ours is needed to read it
    assert content["epoch"] == 3 and content["class_names"] is None
    assert {"model_state", "optimizer_state", "config", "best_accuracy"} <= content.keys()
    assert not list((output_dir / "checkpoints").glob("*.tmp"))


def test_weights_change_and_stay_finite(finished_run: tuple[Path, Outcome]):
    output_dir, _ = finished_run
    first, last = (checkpoint(output_dir, epoch)["model_state"] for epoch in (0, 3))
    assert any(not torch.equal(first[name], last[name]) for name in first)
    assert all(value.isfinite().all() for value in last.values())


# Resuming


def test_going_on_from_a_checkpoint_gives_what_an_uninterrupted_run_gives(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    whole, _ = finished_run
    names = ["checkpoint_epoch_00001.pyth", "checkpoint_best.pyth"]
    output_dir = copy_of(whole, tmp_path / "interrupted", names)
    # What a process that was killed in the middle of saving leaves behind is no checkpoint.
    half = (whole / "checkpoints" / "checkpoint_epoch_00002.pyth").read_bytes()[:1000]
    (output_dir / "checkpoints" / "checkpoint_epoch_00002.pyth.tmp").write_bytes(half)
    outcome = run_net(*tiny_arguments(video_set, output_dir))
    assert outcome.code == 0, outcome.err
    assert "checkpoint_epoch_00001.pyth: 2 epochs and 0 steps done" in outcome.out
    assert [line["epoch"] for line in metrics(output_dir, "train")] == [3, 3, 4, 4]
    for epoch in (2, 3):
        assert_same_state(checkpoint(whole, epoch), checkpoint(output_dir, epoch))
    assert predictions(whole) == predictions(output_dir)
    losses = [[line["loss"] for line in metrics(folder, "train")] for folder in (whole, output_dir)]
    assert losses[0][4:] == losses[1]


def test_going_on_follows_the_config_at_hand(finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path):
    """What config.yaml says after a resumption is what was done: decay is the new one, moments are the old ones."""
    output_dir = copy_of(finished_run[0], tmp_path / "run", ["checkpoint_epoch_00002.pyth"])
    assert run_net(*tiny_arguments(video_set, output_dir, "SOLVER.WEIGHT_DECAY", 0.3, "TEST.ENABLE", "False")).code == 0
    old, new = (checkpoint(output_dir, epoch)["optimizer_state"] for epoch in (2, 3))
    decays = [{group["weight_decay"] for group in state["param_groups"]} for state in (old, new)]
    assert decays == [{0.0, 1e-4}, {0.0, 0.3}]
    assert new["state"][0]["step"] == old["state"][0]["step"] + 2 == 8


@pytest.mark.slow
def test_two_epochs_and_then_two_more_are_four_epochs(video_set: Path, tmp_path: Path):
    """With a rate that does not depend on the length of training."""
    steady = ["SOLVER.LR_POLICY", "steps_with_relative_lrs", "SOLVER.STEPS", "[0]", "SOLVER.LRS", "[1.0]"]
    steady += ["TEST.ENABLE", "False", "DATA_LOADER.NUM_WORKERS", "1"]
    at_once, by_halves = tmp_path / "at once", tmp_path / "by halves"
    assert run_net(*tiny_arguments(video_set, at_once, *steady)).code == 0
    for num_epochs in (2, 4):
        assert run_net(*tiny_arguments(video_set, by_halves, *steady, "SOLVER.MAX_EPOCH", num_epochs)).code == 0
    assert_same_state(checkpoint(at_once, 3), checkpoint(by_halves, 3))


def test_a_finished_run_is_tested_again_and_not_trained_again(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    output_dir = copy_of(finished_run[0], tmp_path / "again")
    outcome = run_net(*tiny_arguments(video_set, output_dir))
    assert outcome.code == 0 and metrics(output_dir, "train") == []
    assert predictions(output_dir) == predictions(finished_run[0])


def test_a_run_may_start_afresh_in_an_old_folder(finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path):
    output_dir = copy_of(finished_run[0], tmp_path / "afresh", ["checkpoint_epoch_00001.pyth"])
    overrides = ["TRAIN.AUTO_RESUME", "False", "SOLVER.MAX_EPOCH", 1, "TEST.ENABLE", "False"]
    assert run_net(*tiny_arguments(video_set, output_dir, *overrides)).code == 0
    assert [line["step"] for line in metrics(output_dir, "train")] == [1, 2]
    # The checkpoints of the other run are no longer those of this one, and still there.
    assert {path.name for path in (output_dir / "checkpoints.1").iterdir()} == {"checkpoint_epoch_00001.pyth"}
    assert "checkpoint_epoch_00001.pyth" not in {path.name for path in (output_dir / "checkpoints").iterdir()}


def test_training_may_start_from_the_weights_of_a_checkpoint(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    source = finished_run[0] / "checkpoints" / "checkpoint_epoch_00003.pyth"
    overrides = ["TRAIN.CHECKPOINT_FILE_PATH", source, "SOLVER.MAX_EPOCH", 1, "TEST.ENABLE", "False"]
    overrides += ["SOLVER.BASE_LR", 0, "SOLVER.WARMUP_START_LR", 0]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides))
    assert outcome.code == 0, outcome.err
    weights, old = checkpoint(tmp_path / "run", 0), checkpoint(finished_run[0], 3)
    assert weights["epoch"] == 0
    for name, value in weights["model_state"].items():
        is_statistic = "running" in name or "num_batches" in name
        assert is_statistic or torch.equal(value, old["model_state"][name]), name


# When checkpoints and validations are due


def test_checkpoints_and_validations_come_with_their_period_and_at_the_end(video_set: Path, tmp_path: Path):
    overrides = ["TRAIN.EVAL_PERIOD", 2, "TRAIN.CHECKPOINT_PERIOD", 3, "SOLVER.MAX_EPOCH", 5, "TEST.ENABLE", "False"]
    assert run_net(*tiny_arguments(video_set, tmp_path, *overrides, "LOG_PERIOD", 100)).code == 0
    assert [line["step"] for line in metrics(tmp_path, "val")] == [4, 8, 10]
    assert [line["step"] for line in metrics(tmp_path, "train")] == [2, 4, 6, 8, 10]  # the end of every epoch
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    of_epochs = ["checkpoint_epoch_00002.pyth", "checkpoint_epoch_00004.pyth"]
    assert names == ["checkpoint_best.pyth", *of_epochs, "checkpoint_last.pyth"]


@pytest.mark.slow
def test_the_best_checkpoint_is_that_of_the_highest_validation_accuracy(
    video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    accuracies = {0: 30.0, 1: 60.0, 2: 50.0, 3: 60.0, 4: 55.0, 5: 70.0}
    monkeypatch.setattr("slowfast.engine.train.validate", lambda run, epoch: accuracies[epoch])
    # The second run resumes the first and knows its best; an equal accuracy is no better.
    for num_epochs, best_epoch, best_accuracy in ((4, 1, 60.0), (5, 1, 60.0), (6, 5, 70.0)):
        arguments = tiny_arguments(video_set, tmp_path, "SOLVER.MAX_EPOCH", num_epochs, "TEST.ENABLE", "False")
        assert run_net(*arguments).code == 0
        best = torch.load(tmp_path / "checkpoints" / "checkpoint_best.pyth", weights_only=True)
        assert (best["epoch"], best["best_accuracy"]) == (best_epoch, best_accuracy)
        assert checkpoint(tmp_path, num_epochs - 1)["best_accuracy"] == best_accuracy


def test_a_moving_average_starts_from_the_weights_of_its_first_epoch(video_set: Path, tmp_path: Path):
    overrides = ["MODEL.EMA_EPOCH", 2, "MODEL.EMA_DECAY", 0.9999, "SOLVER.MAX_EPOCH", 3, "TEST.ENABLE", "False"]
    outcome = run_net(*tiny_arguments(video_set, tmp_path, *overrides, "SOLVER.WARMUP_EPOCHS", 0))
    assert outcome.code == 0, outcome.err
    ema, start, now = (
        checkpoint(tmp_path, epoch)[kind]["backbone.conv1.weight"]
        for epoch, kind in ((2, "ema_state"), (1, "model_state"), (2, "model_state"))
    )
    # Two steps, of 1 / 10,000 each, from where the epoch began towards where it ended.
    assert 0 < (ema - start).norm() < 3e-4 * (now - start).norm()
    assert [line["step"] for line in metrics(tmp_path, "val_ema")] == [6]


# Testing alone


def test_testing_alone_takes_the_newest_checkpoint_of_the_output_folder(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    output_dir = copy_of(finished_run[0], tmp_path / "run")
    outcome = run_net(*tiny_arguments(video_set, output_dir, "TRAIN.ENABLE", "False"))
    assert outcome.code == 0 and "checkpoint_epoch_00003.pyth" in outcome.out
    assert predictions(output_dir) == predictions(finished_run[0])
    assert report_wherever_it_lies(output_dir) == report_wherever_it_lies(finished_run[0])


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["TEST.TEST_BEST", "True"], "checkpoint_best.pyth"),
        (["TEST.CHECKPOINT_FILE_PATH", "{}/checkpoint_epoch_00000.pyth"], "checkpoint_epoch_00000.pyth"),
    ],
)
def test_the_config_chooses_the_checkpoint(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path, overrides: list[str], name: str
):
    output_dir = copy_of(finished_run[0], tmp_path / "run")
    overrides = [word.format(output_dir / "checkpoints") for word in overrides]
    outcome = run_net(*tiny_arguments(video_set, output_dir, "TRAIN.ENABLE", "False", *overrides))
    assert outcome.code == 0 and f"testing {output_dir / 'checkpoints' / name} on 6 videos" in outcome.out


@pytest.mark.parametrize("overrides", [["DATA_LOADER.NUM_WORKERS", 2], ["TEST.BATCH_SIZE", 1], ["TEST.BATCH_SIZE", 40]])
def test_workers_and_batch_size_do_not_change_the_report(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path, overrides: list
):
    output_dir = copy_of(finished_run[0], tmp_path / "run", ["checkpoint_epoch_00003.pyth"])
    assert run_net(*tiny_arguments(video_set, output_dir, "TRAIN.ENABLE", "False", *overrides)).code == 0
    assert_same_figures(output_dir, finished_run[0])
    for row, expected in zip(predictions(output_dir), predictions(finished_run[0]), strict=True):
        scores, expected_scores = ([float(value) for value in r.pop("scores").split()] for r in (row, expected))
        assert row == expected and scores == pytest.approx(expected_scores, abs=1e-5)


def test_scores_follow_the_way_of_combining_views(finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path):
    sums = {}
    for name, overrides in {"raw": ["TEST.ADD_SOFTMAX", "False"], "max": ["DATA.ENSEMBLE_METHOD", "max"]}.items():
        output_dir = copy_of(finished_run[0], tmp_path / name, ["checkpoint_epoch_00003.pyth"])
        assert run_net(*tiny_arguments(video_set, output_dir, "TRAIN.ENABLE", "False", *overrides)).code == 0
        sums[name] = [sum(map(float, row["scores"].split())) for row in predictions(output_dir)]
    assert all(abs(total - 1) > 1e-3 for total in sums["raw"])  # logits
    assert all(total >= 1 - 1e-4 for total in sums["max"])  # maxima of probabilities


# Videos that cannot be read


def lists_with(tmp_path: Path, video_set: Path, **lines: Sequence[tuple[str, int]]) -> list[str]:
    """Overrides for lists of the data set with more lines added to some splits."""
    folder = tmp_path / "lists"
    folder.mkdir()
    for split in ("train", "val", "test"):
        rows = [line.rsplit(",", 1) for line in (video_set / f"{split}.csv").read_text().splitlines()]
        write_list(folder / f"{split}.csv", [*rows, *lines.get(split, ())])
    return ["DATA.PATH_TO_DATA_DIR", str(folder)]


def test_an_unreadable_test_video_is_counted_named_and_fails_the_run(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    output_dir = copy_of(finished_run[0], tmp_path / "run")
    overrides = lists_with(tmp_path, video_set, test=[("videos/not there.mp4", 1)])
    outcome = run_net(*tiny_arguments(video_set, output_dir, "TRAIN.ENABLE", "False", *overrides))
    assert outcome.code == 1
    assert outcome.error.startswith("1 of 7 test videos could not be read")
    assert "accuracy is over the 6 others" in outcome.error
    summary, path = report(output_dir), str(video_set / "videos/not there.mp4")
    assert (summary["expected"], summary["scored"], summary["failed"]) == (7, 6, 1)
    assert summary["failures"] == [[path, "No such file or directory"]]
    assert summary["top1"] == report(finished_run[0])["top1"]
    assert predictions(output_dir) == predictions(finished_run[0])
    assert f"ERROR {path} could not be read: No such file or directory" in outcome.out


def test_a_truncated_test_video_is_scored_counted_and_named(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    output_dir = copy_of(finished_run[0], tmp_path / "run")
    path = truncate(write_video(tmp_path / "cut.mp4", 20, is_faststart=True), after_frames=10)
    overrides = lists_with(tmp_path, video_set, test=[(str(path), 1)])
    outcome = run_net(*tiny_arguments(video_set, output_dir, "TRAIN.ENABLE", "False", *overrides))
    assert outcome.code == 0, outcome.err
    summary = report(output_dir)
    assert (summary["expected"], summary["scored"], summary["failed"], summary["truncated"]) == (7, 7, 0, 1)
    ((named, cause),) = summary["truncations"]
    assert named == str(path) and cause.startswith("it has ")
    assert f"WARNING {path} is truncated and was scored up to there: {cause}" in outcome.out
    assert "(7 expected, 0 failed, 1 truncated)" in outcome.out


@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_damaged_test_video_fails_the_run_unless_it_is_allowed(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path, is_allowed: bool
):
    output_dir = copy_of(finished_run[0], tmp_path / "run")
    # All of its frames are decoded from the damaged one, but for the first.
    path = write_damaged_video(tmp_path / "damaged.mp4", 12, gop=30, damaged=1)
    overrides = lists_with(tmp_path, video_set, test=[(str(path), 1)])
    overrides += ["DATA.ALLOW_DAMAGED_FRAMES", str(is_allowed)]
    outcome = run_net(*tiny_arguments(video_set, output_dir, "TRAIN.ENABLE", "False", *overrides))
    assert (outcome.code, report(output_dir)["failed"]) == ((0, 0) if is_allowed else (1, 1))
    if not is_allowed:
        assert outcome.error.startswith("1 of 7 test videos could not be read")
        assert f"ERROR {path} could not be read: frame " in outcome.out


def test_videos_whose_frames_change_their_size_are_used_and_named(video_set: Path, tmp_path: Path):
    path = write_sizes(tmp_path / "sizes.ts", "libx264", IN_BAND_H264)
    overrides = lists_with(tmp_path, video_set, train=[(str(path), i % 2) for i in range(4)], test=[(str(path), 1)])
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides, "SOLVER.MAX_EPOCH", "1"))
    assert outcome.code == 0, outcome.err
    # In training once each time it is drawn, and once in the test.
    assert outcome.out.count(f"WARNING {path}: its frames change their size, from 64 x 96 to ") == 5
    assert (report(tmp_path / "run")["scored"], report(tmp_path / "run")["failed"]) == (7, 0)


def test_truncated_training_videos_are_used_and_named(video_set: Path, tmp_path: Path):
    path = truncate(write_video(tmp_path / "cut.mp4", 20, is_faststart=True), after_frames=10)
    overrides = lists_with(tmp_path, video_set, train=[(str(path), i % 2) for i in range(4)])
    overrides += ["SOLVER.MAX_EPOCH", "1", "TEST.ENABLE", "False"]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides))
    assert outcome.code == 0, outcome.err
    assert outcome.out.count(f"WARNING {path} is truncated and was used up to there: it has ") >= 4
    assert metrics(tmp_path / "run", "train")[-1]["num_replaced"] == 0


def test_a_test_without_a_readable_video_still_reports(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    output_dir = copy_of(finished_run[0], tmp_path / "run")
    overrides = ["TRAIN.ENABLE", "False", "DATA.PATH_PREFIX", str(tmp_path / "nowhere")]
    outcome = run_net(*tiny_arguments(video_set, output_dir, *overrides))
    assert outcome.error.startswith("6 of 6 test videos could not be read")
    summary = report(output_dir)
    assert (summary["scored"], summary["failed"], summary["top1"]) == (0, 6, None)


def test_unreadable_training_videos_within_the_bound_are_replaced_and_named(video_set: Path, tmp_path: Path):
    overrides = lists_with(tmp_path, video_set, train=[("videos/gone.mp4", i % 2) for i in range(4)])
    overrides += ["DATA_LOADER.MAX_REPLACED", "1.0", "SOLVER.MAX_EPOCH", "1", "TEST.ENABLE", "False"]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides))
    assert outcome.code == 0, outcome.err
    path = video_set / "videos/gone.mp4"
    num_named = outcome.out.count(f"WARNING {path} could not be read and was replaced: No such file or directory")
    # All twelve are seen in the epoch's three steps; a stand-in that is missing, too, is named as well.
    assert num_named >= 4
    assert metrics(tmp_path / "run", "train")[-1]["num_replaced"] == num_named
    assert f"{num_named} videos replaced" in outcome.out


@pytest.mark.slow
def test_an_unreadable_validation_video_is_left_out_and_counted(video_set: Path, tmp_path: Path):
    overrides = lists_with(tmp_path, video_set, val=[("videos/gone.mp4", 0)])
    overrides += ["SOLVER.MAX_EPOCH", "1", "TEST.ENABLE", "False"]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides))
    assert outcome.code == 0, outcome.err
    assert f"WARNING {video_set / 'videos/gone.mp4'} could not be read: No such file" in outcome.out
    (line,) = metrics(tmp_path / "run", "val")
    assert (line["expected"], line["scored"], line["failed"]) == (5, 4, 1)


# Class names


def test_class_names_travel_with_the_checkpoint(video_set: Path, tmp_path: Path):
    names, others = ["DATA.CLASS_NAMES_FILE", str(video_set / "classes.txt")], tmp_path / "others.txt"
    once = [*names, "SOLVER.MAX_EPOCH", "1"]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *once))
    assert outcome.code == 0, outcome.err
    assert checkpoint(tmp_path / "run", 0)["class_names"] == ["class 0", "class 1"]
    before = report(tmp_path / "run")
    # Neither resuming nor testing accepts other classes.
    others.write_text("cat\ndog\n")
    for overrides in (["SOLVER.MAX_EPOCH", 2], ["TRAIN.ENABLE", "False"]):
        arguments = tiny_arguments(
            video_set, tmp_path / "run", "DATA.CLASS_NAMES_FILE", others, "TEST.ENABLE", "True", *overrides
        )
        assert "class" in run_net(*arguments).error
    assert report(tmp_path / "run") == before


# The tool as a program of its own


@pytest.mark.slow
def test_the_tool_runs_from_any_directory(video_set: Path, tmp_path: Path):
    output_dir = tmp_path / "run"
    arguments = tiny_arguments(video_set, output_dir, "SOLVER.MAX_EPOCH", 1, "DATA_LOADER.NUM_WORKERS", 2)
    (outcome,) = run_commands([sys.executable, RUN_NET, *arguments], cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    assert report(output_dir)["scored"] == 6


def test_training_that_diverges_stops_with_the_keys_to_change(video_set: Path, tmp_path: Path):
    overrides = ["SOLVER.BASE_LR", 1e30, "SOLVER.WARMUP_START_LR", 1e30, "SOLVER.CLIP_GRADIENT", 0]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides))
    assert re.match(r"the loss is (nan|inf) in epoch \d, .*lower SOLVER.BASE_LR", outcome.error)
    assert not list((tmp_path / "run").glob("checkpoints/*.tmp"))
