"""Scores that a test has written are read back as they were."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from slowfast.errors import UserError
from slowfast.evaluation.report import TestSetting, make_report
from slowfast.evaluation.report_files import ScoredVideos, write_predictions, write_report
from slowfast.evaluation.scored_files import load_scored, load_scores
from slowfast.evaluation.views import to_probabilities

SETTING = TestSetting(
    checkpoint="a.pyth",
    data_set="kinetics",
    class_names="",
    reads="videos",
    frames=8,
    sampling="sparse",
    size_px=224,
    clips=4,
    crops=3,
    channel_order="rgb",
    combined="sum of scores",
    precision="float32",
    class_order="",
    is_order_assumed=False,
)
PATHS = [os.fsdecode(b"caf\xe9.mp4"), 'größer, "neu"\n.mp4', "c.mp4"]
NAMES = ["left", "right, too", "größer"]
SCORES = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
ONE, SEVERAL = torch.tensor([0, 2, 1]), torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])


def written(
    folder: Path, labels: torch.Tensor, *, scores: str = "csv", names: list[str] | None = NAMES, **setting: object
) -> Path:
    setting = replace(SETTING, **setting)
    options = {"has_probabilities": setting.combined.endswith("probabilities"), "method": "sum"}
    probabilities = to_probabilities(SCORES, is_multi_label=labels.ndim == 2, **options)
    report = make_report(SCORES, labels, 3, [], class_names=names)
    videos = ScoredVideos(PATHS, labels, SCORES, probabilities.values, names)
    write_report(folder / "test", replace(report, setting=setting), videos, scores=scores)
    return folder


@pytest.mark.parametrize("labels", [ONE, SEVERAL], ids=["one label", "several labels"])
@pytest.mark.parametrize("scores", ["csv", "npz"])
def test_they_come_back(labels: torch.Tensor, scores: str, tmp_path: Path):
    report, found = load_scored(written(tmp_path, labels, scores=scores))
    assert report.scored == 3 and found.paths == PATHS and found.class_names == NAMES
    assert torch.equal(found.labels, labels)
    if scores == "npz":
        assert torch.equal(found.scores, SCORES)
    assert torch.allclose(found.scores, SCORES, rtol=1e-5, atol=0)
    kind = SCORES.sigmoid() if labels.ndim == 2 else SCORES.softmax(dim=1)
    assert torch.allclose(found.probabilities, kind, rtol=1e-5, atol=0)


def test_names_that_nobody_knew_come_back_as_none(tmp_path: Path):
    assert load_scored(written(tmp_path, ONE, names=None))[1].class_names is None


def test_several_labels_stay_several_where_each_video_has_one(tmp_path: Path):
    shown = torch.eye(3)
    assert torch.equal(load_scored(written(tmp_path, shown))[1].labels, shown)


@pytest.mark.parametrize("labels", [ONE, SEVERAL], ids=["one label", "several labels"])
@pytest.mark.parametrize(("kind", "name"), [("csv", "predictions.csv"), ("npz", "scores.npz")])
def test_a_file_alone_tells_scores_and_what_it_knows_of_names(
    labels: torch.Tensor, kind: str, name: str, tmp_path: Path
):
    file = written(tmp_path, labels, scores=kind) / "test" / name
    assert load_scores(file)[0] is not None
    file = file.rename(tmp_path / f"alone.{kind}")
    report, found = load_scores(file)
    assert report is None and found.paths == PATHS and torch.equal(found.labels, labels)
    assert torch.allclose(found.scores, SCORES, rtol=1e-5, atol=0)
    kind_of = SCORES.sigmoid() if labels.ndim == 2 else SCORES.softmax(dim=1)
    assert torch.allclose(found.probabilities, kind_of, rtol=1e-5, atol=0)
    # A table names the classes of single labels alone.
    assert found.class_names == (["class 0", NAMES[1], "class 2"] if kind == "csv" and labels.ndim == 2 else NAMES)


def test_probabilities_in_a_file_alone_stay_what_they_are(tmp_path: Path):
    shares = SCORES.softmax(dim=1)
    for labels, scores, told in ((ONE, shares, shares), (SEVERAL, shares, shares), (ONE, 2 * shares, None)):
        file = tmp_path / "alone.csv"
        with file.open("wb") as content:
            write_predictions(content, ScoredVideos(PATHS, labels, scores, scores))
        found = load_scores(file)[1].probabilities
        assert torch.allclose(found, (2 * shares).softmax(dim=1) if told is None else told, rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"labels": [0, 3, 1]}, "has labels that are none of its 3 classes"),
        ({"labels": [0, -1, 1]}, "has labels that are none of its 3 classes"),
        ({"labels": [0, 1]}, "paths, labels and scores are not of the same videos and classes"),
        ({"paths": ["a"]}, "paths, labels and scores are not of the same videos and classes"),
        ({"class_names": ["a"]}, "paths, labels and scores are not of the same videos and classes"),
        ({"scores": [1.0, 2.0, 3.0]}, "paths, labels and scores are not of the same videos and classes"),
        ({"scores": [[1.0, float("nan"), 3.0]] * 3}, "has scores that are not finite"),
        ({"paths": np.array([None] * 3)}, "is no file of scores"),
        ({"labels": ["a", "b", "c"]}, "is no file of scores"),
        ({"scores": "none"}, "is no file of scores"),
    ],
)
def test_an_archive_of_something_else_is_told(arrays: dict, told: str, tmp_path: Path):
    content = {"paths": PATHS, "labels": [0, 2, 1], "scores": SCORES.numpy(), "class_names": NAMES, **arrays}
    np.savez(tmp_path / "odd.npz", **content)
    with pytest.raises(UserError) as error:
        load_scores(tmp_path / "odd.npz")
    assert str(error.value).startswith(f"{tmp_path / 'odd.npz'}: {told}")


def test_labels_of_a_table_are_classes(tmp_path: Path):
    for label in ("2", "0;7", "-1"):
        (tmp_path / "odd.csv").write_text(f"path,label,scores\nx,{label},1 2\n")
        with pytest.raises(UserError, match=r"odd\.csv: has labels that are none of its 2 classes"):
            load_scores(tmp_path / "odd.csv")


def test_what_was_not_kept_is_told(tmp_path: Path):
    with pytest.raises(UserError, match=r"predictions\.csv: has no scores .* TEST\.SCORES csv or npz"):
        load_scored(written(tmp_path, ONE, scores="none"))


def test_damaged_files_are_told(tmp_path: Path):
    table = written(tmp_path / "a", ONE) / "test" / "predictions.csv"
    table.write_text("path,label\nx,y\n")
    with pytest.raises(UserError, match=r"predictions\.csv: row 2 is no prediction of a test"):
        load_scored(tmp_path / "a")
    table.write_text("path,label,scores\nx,0,1 2\n")
    with pytest.raises(UserError, match="speaks of 3 scored videos, and there are 1"):
        load_scored(tmp_path / "a")
    archive = written(tmp_path / "b", ONE, scores="npz") / "test" / "scores.npz"
    archive.write_bytes(archive.read_bytes()[:100])
    with pytest.raises(UserError, match=r"scores\.npz: is no file of scores"):
        load_scored(tmp_path / "b")


def test_a_report_of_a_newer_version_is_told(tmp_path: Path):
    file = written(tmp_path, ONE) / "test" / "report.json"
    file.write_text(file.read_text().replace('"schema_version": 2', '"schema_version": 3'))
    with pytest.raises(UserError, match="newer version"):
        load_scored(tmp_path)
