"""What a test leaves behind."""

import csv
import json
import os
from pathlib import Path

import pytest
import torch

from slowfast.evaluation.report import make_report
from slowfast.evaluation.report_files import NUM_NAMED, ScoredVideos, write_report
from slowfast.runtime import files

SCORES = torch.tensor([[0.75, 0.25], [0.125, 0.875], [0.5, 0.25]])
LABELS = torch.tensor([0, 0, 1])
PATHS = ["a b.mp4", 'one, "two".mp4', "c.mp4"]
FAILURES = [("bad.mp4", "has no video stream")]
NAMED = [column for rank in range(1, NUM_NAMED + 1) for column in (f"name_{rank}", f"probability_{rank}")]


def videos(paths: list[str], labels: torch.Tensor, scores: torch.Tensor, **options) -> ScoredVideos:
    return ScoredVideos(paths, labels, scores, scores, **options)


def test_accuracy_is_over_the_scored_videos():
    report = make_report(SCORES, LABELS, 4, FAILURES)
    assert (report.expected, report.scored, report.failed) == (4, 3, 1)
    assert report.top1 == pytest.approx(100 / 3) and report.top5 == 100.0
    assert report.summary() == "top-1 33.33 %, top-5 100.00 % over 3 scored videos (4 expected, 1 failed)"


def test_truncated_videos_are_counted_and_named():
    report = make_report(SCORES, LABELS, 4, FAILURES, [("a.mp4", "it has 5 of 9 bytes")])
    assert report.truncated == 1 and report.truncations == [("a.mp4", "it has 5 of 9 bytes")]
    assert report.summary().endswith("over 3 scored videos (4 expected, 1 failed, 1 truncated)")


def test_videos_without_finite_scores_are_counted_and_named():
    report = make_report(SCORES, LABELS, 5, FAILURES, [("a.mp4", "it ends")], [("n.mp4", "not finite")])
    assert (report.scored, report.unscored, report.unscored_videos) == (3, 1, [("n.mp4", "not finite")])
    assert report.summary().endswith("over 3 scored videos (5 expected, 1 failed, 1 not scored, 1 truncated)")


def test_names_that_are_not_utf8_keep_their_bytes(tmp_path: Path):
    path = os.fsdecode(b"caf\xe9.mp4")
    write_report(
        tmp_path, make_report(SCORES[:1], LABELS[:1], 2, [(path, "gone")]), videos([path], LABELS[:1], SCORES[:1])
    )
    assert b"caf\xe9.mp4,0,0," in (tmp_path / "predictions.csv").read_bytes()
    assert json.loads((tmp_path / "report.json").read_text())["failures"] == [[path, "gone"]]


def test_the_files_hold_counts_and_a_row_a_video(tmp_path: Path):
    folder = tmp_path / "new" / "test"
    write_report(folder, make_report(SCORES, LABELS, 4, FAILURES), videos(PATHS, LABELS, SCORES))
    assert sorted(path.name for path in folder.iterdir()) == ["predictions.csv", "report.json"]
    summary = json.loads((folder / "report.json").read_text())
    assert summary.pop("top1") == pytest.approx(100 / 3)
    assert summary.pop("schema_version") == 2
    assert [row["name"] for row in summary.pop("classes")] == ["class 0", "class 1"]
    (pair,) = [row for row in summary.pop("confused") if row["label"] == 1]
    assert (pair["predicted"], pair["videos"], pair["share"]) == (0, 1, 100.0)
    assert summary.pop("mean_class_accuracy") == 25.0 and summary.pop("macro_f1") == 25.0
    assert summary.pop("intervals")["top1"] == pytest.approx([6.149, 79.234], abs=1e-3)
    assert summary == {
        "expected": 4,
        "scored": 3,
        "failed": 1,
        "top5": 100.0,
        "failures": [list(FAILURES[0])],
        "truncated": 0,
        "truncations": [],
        "unscored": 0,
        "unscored_videos": [],
    }
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == PATHS
    assert [row["label"] for row in rows] == ["0", "0", "1"]
    assert [row["prediction"] for row in rows] == ["0", "1", "0"]
    assert [[float(score) for score in row["scores"].split(" ")] for row in rows] == SCORES.tolist()


def test_predictions_are_named_with_their_probabilities(tmp_path: Path):
    named = videos(PATHS, LABELS, SCORES, class_names=["left", "right, too"])
    write_report(tmp_path, make_report(SCORES, LABELS, 3, []), named)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label_name"] for row in rows] == ["left", "left", "right, too"]
    assert [(row["name_1"], row["probability_1"]) for row in rows] == [
        ("left", "0.75"),
        ("right, too", "0.875"),
        ("left", "0.5"),
    ]
    assert [rows[0][name] for name in ("name_2", "name_3", "probability_3")] == ["right, too", "", ""]


def test_scores_go_where_they_are_asked_for(tmp_path: Path):
    paths = [os.fsdecode(b"caf\xe9.mp4"), "größer.mp4", "c.mp4"]
    for kind in ("npz", "none", "npz"):
        write_report(tmp_path, make_report(SCORES, LABELS, 3, []), videos(paths, LABELS, SCORES), scores=kind)
        assert (tmp_path / "scores.npz").exists() == (kind == "npz")
        with (tmp_path / "predictions.csv").open(newline="", errors="surrogateescape") as file:
            assert {row["scores"] for row in csv.DictReader(file)} == {""}


def test_several_labels_a_video_are_reported_with_their_mean_average_precision(tmp_path: Path):
    shown = torch.tensor([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    report = make_report(SCORES, shown, 4, FAILURES)
    # By score, class 0 is right at ranks 1 and 2 of 3; class 1 at rank 1 and, of two videos of one score, one: 2 / 3.
    precision = 100 * (1 + (1 / 2 * 1 + 1 / 2 * 2 / 3)) / 2
    assert report.mean_average_precision == pytest.approx(precision) and report.top1 == 100
    assert report.summary() == (
        f"top-1 100.00 %, top-5 100.00 %, mean average precision {precision:.2f} % over 3 scored videos "
        "(4 expected, 1 failed)"
    )
    write_report(tmp_path, report, videos(PATHS, shown, SCORES))
    assert json.loads((tmp_path / "report.json").read_text())["mean_average_precision"] == pytest.approx(precision)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["prediction"]) for row in rows] == [("0;1", "0"), ("1", "1"), ("0", "0")]


def test_several_labels_without_a_scored_video_still_make_a_report(tmp_path: Path):
    scores, shown = torch.empty(0, 2), torch.empty(0, 2)
    write_report(tmp_path, make_report(scores, shown, 1, FAILURES), videos([], shown, scores))
    assert json.loads((tmp_path / "report.json").read_text())["mean_average_precision"] is None


def test_a_report_without_a_scored_video_is_still_json(tmp_path: Path):
    scores, labels = torch.empty(0, 2), torch.empty(0, dtype=torch.int64)
    report = make_report(scores, labels, 1, FAILURES)
    write_report(tmp_path, report, videos([], labels, scores))
    assert json.loads((tmp_path / "report.json").read_text())["top1"] is None
    assert (tmp_path / "predictions.csv").read_text().splitlines() == [
        ",".join(["path", "label", "prediction", "scores", "label_name", *NAMED])
    ]


def test_an_interrupted_report_leaves_the_old_one_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_report(tmp_path, make_report(SCORES, LABELS, 3, []), videos(PATHS, LABELS, SCORES))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path, make_report(SCORES[:1], LABELS[:1], 1, []), videos(PATHS[:1], LABELS[:1], SCORES[:1]))
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
