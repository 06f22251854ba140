"""The mean of several tests, and what it refuses."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from slowfast.errors import UserError
from slowfast.evaluation.report_files import load_report
from slowfast.evaluation.scored_files import load_scored
from slowfast.evaluation.several.ensemble import write_ensemble
from tests.evaluation.finished_tests import made_up, write_test

NAMES = ["left", "right", "up", "größer"]


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Tests of the same videos in other orders: probabilities in an archive, raw scores in a table."""
    scores, labels = made_up(0, 40, 4, 0.6)
    raw, _ = made_up(1, 40, 4, 0.8, is_raw=True)
    back = torch.arange(39, -1, -1)
    paths = [f"{row:05d}.mp4" for row in back]
    return [
        write_test(tmp_path / "a", scores, labels, names=NAMES),
        write_test(
            tmp_path / "b",
            raw[back],
            labels[back],
            paths=paths,
            names=NAMES,
            combined="sum of scores",
            kept="csv",
            frames=16,
            checkpoint="runs/b/other.pyth",
        ),
    ]


def test_it_is_the_mean_of_probabilities_by_path(runs: list[Path], tmp_path: Path):
    report, notes = write_ensemble(runs, tmp_path / "e", [1, 3])
    scores, labels = made_up(0, 40, 4, 0.6)
    mean = 0.25 * scores + 0.75 * made_up(1, 40, 4, 0.8, is_raw=True)[0].softmax(dim=1)
    read, videos = load_scored(tmp_path / "e")
    assert torch.allclose(videos.scores, mean, atol=1e-5) and torch.equal(videos.labels, labels)
    assert torch.equal(videos.scores, videos.probabilities) and videos.class_names == NAMES
    assert read.top1 == pytest.approx(100 * float((mean.argmax(dim=1) == labels).double().mean()))
    assert report.top1 == read.top1 and (read.expected, read.scored, read.failed) == (40, 40, 0)
    mixed = "mean over 2 tests of their probabilities: mean of the views' softmax, and of others: softmax of the mean"
    assert read.calibration.probabilities.startswith(mixed) and notes[0].startswith(mixed)
    assert notes[1] == "scores of 1 of 2 tests were read with the six digits of predictions.csv"


def test_the_report_tells_sources_weights_and_hashes(runs: list[Path], tmp_path: Path):
    write_ensemble(runs, tmp_path / "e", [1, 3])
    content = json.loads((tmp_path / "e" / "test" / "report.json").read_text())
    assert [source["weight"] for source in content["sources"]] == [0.25, 0.75]
    for source, run, file in zip(content["sources"], runs, ("scores.npz", "predictions.csv"), strict=True):
        assert source["path"] == str(run)
        assert source["scores_sha256"] == hashlib.sha256((run / "test" / file).read_bytes()).hexdigest()
        assert source["run"] == json.loads((run / "test" / "report.json").read_text())["run"]
    setting = load_report(tmp_path / "e").setting
    assert setting.checkpoint == "ensemble of checkpoint_best.pyth, other.pyth" and setting.frames is None
    assert (setting.clips, setting.size_px, setting.combined) == (4, 224, "sum of probabilities")
    assert setting.in_words().startswith("4 x 3 views of various frames (sparse) of 224 px")
    sources = load_report(tmp_path / "e").sources
    assert [(source.setting.frames, source.run.weights_sha256) for source in sources] == [(8, "1" * 64), (16, "1" * 64)]


def test_several_labels_are_averaged_after_the_sigmoid(tmp_path: Path):
    rng = torch.Generator().manual_seed(0)
    shown = (torch.rand(20, 5, generator=rng) < 0.4).float()
    logits = [torch.randn(20, 5, generator=rng) for _ in range(2)]
    runs = [write_test(tmp_path / f"{i}", each, shown, combined="sum of scores") for i, each in enumerate(logits)]
    report, notes = write_ensemble(runs, tmp_path / "e")
    _, videos = load_scored(tmp_path / "e")
    assert torch.allclose(videos.scores, (logits[0].sigmoid() + logits[1].sigmoid()) / 2)
    assert report.mean_average_precision is not None and notes == [
        "mean over 2 tests of their probabilities: sigmoid of the mean scores of the views"
    ]


def test_videos_that_failed_in_all_are_counted(tmp_path: Path):
    scores, labels = made_up(0, 6, 2, 0.9)
    bad = [("bad.mp4", "has no video stream")]
    runs = [write_test(tmp_path / name, scores, labels, failures=bad) for name in "ab"]
    report, _ = write_ensemble(runs, tmp_path / "e")
    assert (report.expected, report.scored, report.failures) == (7, 6, bad)
    other = write_test(tmp_path / "c", scores, labels, failures=[("odd.mp4", "gone")])
    with pytest.raises(UserError, match=r"c: bad\.mp4 has no scores \(failed\) in .*a alone"):
        write_ensemble([runs[0], other], tmp_path / "f")


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ([1], "--weights: has 1 weights for 2 tests; accepted: one per test, in order"),
        ([1, 0], "--weights: 0 is no weight; accepted: numbers above 0"),
        ([-1, 1], "--weights: -1 is no weight"),
        ([1, float("inf")], "--weights: inf is no weight"),
        ([float("nan"), 1], "--weights: nan is no weight"),
    ],
)
def test_weights_are_numbers_above_0(weights: list[float], told: str, runs: list[Path], tmp_path: Path):
    with pytest.raises(UserError) as error:
        write_ensemble(runs, tmp_path / "e", weights)
    assert str(error.value).startswith(told) and not (tmp_path / "e").exists()


def test_weights_may_be_of_any_size(runs: list[Path], tmp_path: Path):
    for number, weights in enumerate(([1e308, 1e308], [5e-324, 5e-324])):
        report, _ = write_ensemble(runs, tmp_path / f"{number}", weights)
        assert [source.weight for source in report.sources] == [0.5, 0.5] and report.top1 > 50


def test_other_tests_are_refused_and_nothing_is_written(runs: list[Path], tmp_path: Path):
    scores, labels = made_up(0, 39, 4, 0.6)
    fewer = write_test(tmp_path / "fewer", scores, labels, names=NAMES)
    named = write_test(tmp_path / "named", *made_up(0, 40, 4, 0.6), names=["left", "right", "up", "down"])
    ensemble = tmp_path / "e"
    for others, told in (
        ([fewer], "fewer: the number of videos in the list is 39, and 40 in"),
        ([named], "class 3 is 'down', and 'größer' in"),
        ([runs[0] / "test"], "is the same test as"),
        ([], "is one test; two or more are taken together"),
        ([tmp_path / "none"], "has no report of a test"),
    ):
        with pytest.raises(UserError) as error:
            write_ensemble([runs[0], *others], ensemble)
        assert told in str(error.value) and not ensemble.exists()


def test_no_report_is_overwritten_and_no_ensemble_nested(runs: list[Path], tmp_path: Path):
    for out in (runs[1], runs[1] / "test"):
        with pytest.raises(UserError, match=r"--out .*b.*: has the report of a test, which would be lost"):
            write_ensemble(runs, out)
    write_ensemble(runs, tmp_path / "e")
    with pytest.raises(UserError, match="e: is an ensemble; name the tests that it is of"):
        write_ensemble([runs[0], tmp_path / "e"], tmp_path / "f")
