"""A run on videos with several labels each, from its lists to its report."""

import csv
import json
import re
from pathlib import Path

import pytest
import torch
from sklearn.metrics import average_precision_score

from tests.command_line import run_net, tiny_arguments
from tests.videos import write_list

LABELS = {"train": ["0", "0;2", "1;2", "0;1;2"] * 2, "val": ["0;1", "2", "1", "0"], "test": ["0;2", "1", "0;1;2"] * 2}


def multi_label_arguments(video_set: Path, tmp_path: Path, *overrides: object) -> list[str]:
    """Arguments for the videos of the data set with other lists: three classes, one to three of them a video."""
    lists = tmp_path / "lists"
    lists.mkdir(exist_ok=True)
    for split, labels in LABELS.items():
        rows = [(f"videos/{split}_{i}.mp4", label) for i, label in enumerate(labels)]
        write_list(lists / f"{split}.csv", rows)
    own = ["DATA.PATH_TO_DATA_DIR", lists, "DATA.MULTI_LABEL", True, "MODEL.LOSS_FUNC", "bce_logit"]
    own += ["MODEL.NUM_CLASSES", 3, "SOLVER.MAX_EPOCH", 2]
    return tiny_arguments(video_set, tmp_path / "run", *own, *overrides)


def test_a_run_trains_and_tests_on_several_labels_a_video(video_set: Path, tmp_path: Path):
    outcome = run_net(*multi_label_arguments(video_set, tmp_path))
    assert outcome.code == 0, outcome.err
    pattern = r"INFO top-1 (\S+) %, top-5 100\.00 %, mean average precision (\S+) % over 6 scored videos \(6 expected"
    assert (printed := re.search(pattern, outcome.out)), outcome.out
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["kind"] == "train"]
    assert len(losses) == 4 and all(0 < loss < 3 for loss in losses)
    # The best checkpoint is the one of the highest mean average precision, not of the highest top-1.
    best = torch.load(tmp_path / "run" / "checkpoints" / "checkpoint_best.pyth", weights_only=True)
    precisions = [line["mean_average_precision"] for line in lines if line["kind"] == "val"]
    assert len(precisions) == 2 and best["best_accuracy"] == max(precisions)
    with (tmp_path / "run" / "test" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == LABELS["test"]
    scores = torch.tensor([[float(score) for score in row["scores"].split()] for row in rows])
    assert scores.min() > 0 and scores.max() < 1 and (scores.sum(1) - 1).abs().min() > 1e-3  # sigmoids, no softmax
    is_right = [row["prediction"] in row["label"].split(";") for row in rows]
    report = json.loads((tmp_path / "run" / "test" / "report.json").read_text())
    assert report["top1"] == pytest.approx(100 * sum(is_right) / 6) == pytest.approx(float(printed[1]), abs=0.01)
    shown = [[str(i) in row["label"].split(";") for row in rows] for i in range(3)]
    precision = sum(average_precision_score(shown[i], scores[:, i].numpy()) for i in range(3)) / 3
    assert report["mean_average_precision"] == pytest.approx(100 * precision, abs=1e-6)
    assert float(printed[2]) == pytest.approx(100 * precision, abs=0.01)


@pytest.mark.slow
def test_several_labels_are_learned(video_set: Path, tmp_path: Path):
    """The tiny model learns its eight training videos by heart: the test is on them (67 % before training)."""
    overrides = ["SOLVER.MAX_EPOCH", 15, "SOLVER.BASE_LR", 1e-2, "LOG_PERIOD", 80, "TRAIN.EVAL_PERIOD", 15]
    overrides += ["TRAIN.CHECKPOINT_PERIOD", 15, "UNIFORMERV2.MLP_DROPOUT", [0.0], "UNIFORMERV2.CLS_DROPOUT", 0]
    overrides += ["DATA.RANDOM_FLIP", False, "DATA.TRAIN_JITTER_SCALES", [16, 16]]
    arguments = multi_label_arguments(video_set, tmp_path, *overrides)
    (tmp_path / "lists" / "test.csv").write_bytes((tmp_path / "lists" / "train.csv").read_bytes())
    outcome = run_net(*arguments)
    assert outcome.code == 0, outcome.err
    report = json.loads((tmp_path / "run" / "test" / "report.json").read_text())
    assert report["mean_average_precision"] > 95
