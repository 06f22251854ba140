"""What a test of a run reports beside its accuracy."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score

from slowfast.evaluation.scored_files import load_scored
from tests.command_line import Outcome, run_net, tiny_arguments
from tests.run_state import metrics, report
from tests.videos import write_list

TEST_ALONE = ("TRAIN.ENABLE", False)


def score_again(finished_run: Path, video_set: Path, folder: Path, *overrides: object) -> tuple[Outcome, Path]:
    """A test of the finished run's last checkpoint, in a folder of its own."""
    source = finished_run / "checkpoints" / "checkpoint_last.pyth"
    arguments = (*TEST_ALONE, "TEST.CHECKPOINT_FILE_PATH", source, *overrides)
    return run_net(*tiny_arguments(video_set, folder, *arguments)), folder


def test_a_report_says_how_sure_it_is_and_what_it_was_made_of(finished_run: tuple[Path, Outcome]):
    content = report(finished_run[0])
    _, videos = load_scored(finished_run[0])
    predictions, labels = videos.scores.argmax(dim=1), videos.labels
    assert content["mean_class_accuracy"] == pytest.approx(100 * balanced_accuracy_score(labels, predictions))
    assert content["macro_f1"] == pytest.approx(100 * f1_score(labels, predictions, average="macro", zero_division=0))
    for name in ("top1", "top5", "mean_class_accuracy", "macro_f1"):
        low, high = content["intervals"][name]
        assert 0 <= low <= content[name] <= high <= 100 and high - low > 10  # of six videos
    assert [row["videos"] for row in content["classes"]] == np.bincount(labels).tolist()
    assert content["calibration"]["probabilities"] == "mean of the views' softmax"
    assert 0 < content["calibration"]["level"] < 100 and content["calibration"]["temperature"] is None
    hashes = [content["run"][name] for name in ("weights_sha256", "list_sha256", "config_sha256")]
    assert all(len(value) == 64 for value in hashes) and content["run"]["seconds"] > 0
    assert content["schema_version"] == 2


def test_hashes_tell_what_differs(finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path):
    same, views = (
        report(score_again(finished_run[0], video_set, tmp_path / name, *overrides)[1])["run"]
        for name, overrides in {"same": (), "views": ("TEST.NUM_ENSEMBLE_VIEWS", 1)}.items()
    )
    first = report(finished_run[0])["run"]
    assert same["weights_sha256"] == views["weights_sha256"] == first["weights_sha256"]
    assert same["list_sha256"] == views["list_sha256"] == first["list_sha256"]
    assert same["config_sha256"] != views["config_sha256"]


def test_scores_may_be_an_archive(finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path):
    outcome, folder = score_again(finished_run[0], video_set, tmp_path, "TEST.SCORES", "npz")
    assert outcome.code == 0, outcome.err
    (_, exact), (_, written) = load_scored(folder), load_scored(finished_run[0])
    assert exact.paths == written.paths and torch.allclose(exact.scores, written.scores, rtol=1e-5, atol=1e-7)
    with (folder / "test" / "predictions.csv").open(newline="") as file:
        assert {row["scores"] for row in csv.DictReader(file)} == {""}


def test_a_temperature_is_fitted_on_the_validation_list(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    outcome, folder = score_again(finished_run[0], video_set, tmp_path, "TEST.FIT_TEMPERATURE", True)
    assert outcome.code == 0, outcome.err
    assert "TEST.FIT_TEMPERATURE: the validation list has top-1" in outcome.out
    calibration = report(folder)["calibration"]
    assert 0.05 < calibration["temperature"] < 20 and calibration["log_loss_with_temperature"] > 0


def test_a_temperature_is_not_fitted_on_what_is_tested(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    lists = Path(shutil.copytree(video_set, tmp_path / "lists"))
    with (video_set / "test.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    write_list(lists / "val.csv", rows[:1])
    overrides = ("DATA.PATH_TO_DATA_DIR", lists, "TEST.FIT_TEMPERATURE", True)
    outcome, folder = score_again(finished_run[0], video_set, tmp_path / "run", *overrides)
    assert outcome.code == 1 and rows[0][0] in outcome.error
    assert "shares" in outcome.error and "TEST.FIT_TEMPERATURE True" in outcome.error
    assert not (folder / "test" / "report.json").exists()


def test_several_labels_have_no_temperature(video_set: Path, tmp_path: Path):
    overrides = ("DATA.MULTI_LABEL", True, "MODEL.LOSS_FUNC", "bce_logit", "TEST.FIT_TEMPERATURE", True)
    outcome = run_net(*tiny_arguments(video_set, tmp_path, *overrides))
    assert "TEST.FIT_TEMPERATURE is True and DATA.MULTI_LABEL True" in outcome.error


def test_validations_are_reported_alike(finished_run: tuple[Path, Outcome]):
    for line in metrics(finished_run[0], "val"):
        assert {"mean_class_accuracy", "macro_f1"} <= set(line)
