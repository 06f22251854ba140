"""Scores that a test has written are read back as they were."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from slowfast.errors import UserError
from slowfast.evaluation.report import TestSetting, make_report
from slowfast.evaluation.report_files import ScoredVideos, write_report
from slowfast.evaluation.scored_files import load_scored
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


def written(folder: Path, labels: torch.Tensor, *, scores: str = "csv", **setting: object) -> Path:
    setting = replace(SETTING, **setting)
    options = {"has_probabilities": setting.combined.endswith("probabilities"), "method": "sum"}
    probabilities = to_probabilities(SCORES, is_multi_label=labels.ndim == 2, **options)
    report = make_report(SCORES, labels, 3, [], class_names=NAMES)
    videos = ScoredVideos(PATHS, labels, SCORES, probabilities.values, NAMES)
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
