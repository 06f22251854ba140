"""Scores that a test has written are read back as they were."""

import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from slowfast.errors import UserError
from slowfast.evaluation.report import make_report
from slowfast.evaluation.report_files import ScoredVideos, write_predictions, write_report
from slowfast.evaluation.scored_files import load_scored, load_scores
from slowfast.evaluation.views import to_probabilities
from tests.evaluation.finished_tests import SETTING

OF_RAW_SCORES = replace(SETTING, combined="sum of scores")
PATHS = [os.fsdecode(b"caf\xe9.mp4"), 'größer, "neu"\n.mp4', "c.mp4"]
NAMES = ["left", "right, too", "größer"]
SCORES = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
ONE, SEVERAL = torch.tensor([0, 2, 1]), torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])


def written(
    folder: Path, labels: torch.Tensor, *, scores: str = "csv", names: list[str] | None = NAMES, **setting: object
) -> Path:
    setting = replace(OF_RAW_SCORES, **setting)
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
        ({"scores": [1.0, 2.0, 3.0]}, "is no file of scores: its scores are 1-dimensional, of float64"),
        ({"scores": [[1.0, float("nan"), 3.0]] * 3}, "has scores that are not finite"),
        ({"paths": np.array([None] * 3)}, "is no file of scores"),
        ({"labels": ["a", "b", "c"]}, "is no file of scores"),
        ({"scores": "none"}, "is no file of scores"),
        (
            {"scores": SCORES.numpy().astype(complex)},
            "is no file of scores: its scores are 2-dimensional, of complex128",
        ),
        ({"labels": [0.5, 1.0, 1.0]}, "is no file of scores: its labels are 1-dimensional, of float64"),
        ({"labels": [0, 7, 1j]}, "is no file of scores: its labels"),
        ({"labels": [True, False, True]}, "is no file of scores: its labels are 1-dimensional, of bool"),
        ({"paths": [b"a", b"b", b"c"]}, "is no file of scores: its paths are 1-dimensional, of |S1"),
        ({"paths": [["a", "b"]] * 3}, "is no file of scores: its paths are 2-dimensional"),
        ({"class_names": [1, 2, 3]}, "is no file of scores: its class_names are"),
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


def test_an_archive_that_is_none_is_told(tmp_path: Path):
    file = tmp_path / "odd.npz"
    for content in (b"", pickle.dumps([1]), b"PK\x03\x04" + bytes(100)):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"odd\.npz: is no file of scores: File is not a zip file; test again"):
            load_scores(file)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("scores.npy", bytes(10**7))
    with pytest.raises(UserError, match=r"odd\.npz: is compressed as no scores are"):
        load_scores(file)


def test_numbers_of_another_machine_are_read(tmp_path: Path):
    scores, labels = SCORES.numpy().astype(">f8"), np.array([0, 2, 1], dtype=">u8")
    np.savez(tmp_path / "a.npz", paths=PATHS, class_names=NAMES, scores=scores, labels=labels)
    _, found = load_scores(tmp_path / "a.npz")
    assert torch.equal(found.scores, SCORES) and found.labels.tolist() == [0, 2, 1]


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_scores_of_another_test_with_as_many_videos_are_refused(kind: str, tmp_path: Path):
    name = {"csv": "predictions.csv", "npz": "scores.npz"}[kind]
    file = written(tmp_path / "a", ONE, scores=kind) / "test" / name
    others = {"other labels": written(tmp_path / "b", ONE // 2, scores=kind) / "test" / name}
    report, videos = load_scored(tmp_path / "a")
    if kind == "npz":
        # A table with one label in each row is of one label per video.
        others["other labels than"] = written(tmp_path / "c", one_hot(ONE).float(), scores=kind) / "test" / name
        turned = replace(videos, scores=videos.scores.flip(1))
        write_report(tmp_path / "d", report, turned, scores=kind)
        others["other predictions"] = tmp_path / "d" / name
    wide = replace(videos, scores=torch.ones(3, 4), probabilities=torch.ones(3, 4) / 4, class_names=None)
    write_report(tmp_path / "e", report, wide, scores=kind)
    others[f"3 classes, and {name} has scores of 4"] = tmp_path / "e" / name
    for told, other in others.items():
        file.write_bytes(other.read_bytes())
        with pytest.raises(UserError, match=f"a/test: report.json speaks of {told}"):
            load_scored(tmp_path / "a")


def test_a_table_that_a_spreadsheet_has_saved_is_read(tmp_path: Path):
    file = written(tmp_path, ONE) / "test" / "predictions.csv"
    _, videos = load_scored(tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\r\n", b"\n"))
    _, again = load_scored(tmp_path)
    assert again.paths == videos.paths and torch.equal(again.scores, videos.scores)


def test_a_report_of_a_newer_version_is_told(tmp_path: Path):
    file = written(tmp_path, ONE) / "test" / "report.json"
    file.write_text(file.read_text().replace('"schema_version": 2', '"schema_version": 3'))
    with pytest.raises(UserError, match="newer version"):
        load_scored(tmp_path)
