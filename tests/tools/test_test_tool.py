"""tools/test.py: called as MMAction2's, it tests as run_net.py does."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.command_line import CONFIG, Outcome, run_net, run_tool, tiny_arguments
from tests.run_state import predictions, timeless_report


@pytest.fixture
def words(finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path) -> list[object]:
    """CONFIG CHECKPOINT KEY VALUE ..."""
    checkpoint = finished_run[0] / "checkpoints" / "checkpoint_last.pyth"
    return [CONFIG, checkpoint, *tiny_arguments(video_set, tmp_path / "run")[2:]]


def test_it_reports_what_run_net_reports_and_dumps_the_scores(words: list[object], video_set: Path, tmp_path: Path):
    outcome = run_tool("test", *words[:2], "--dump", tmp_path / "new" / "a.pkl", "--views", "1x3", *words[2:])
    assert outcome.code == 0, outcome.err
    keys = ["TRAIN.ENABLE", False, "TEST.NUM_ENSEMBLE_VIEWS", 1, "TEST.CHECKPOINT_FILE_PATH", words[1]]
    assert run_net(*tiny_arguments(video_set, tmp_path / "other", *keys)).code == 0
    rows = predictions(tmp_path / "run")
    assert timeless_report(tmp_path / "run") == timeless_report(tmp_path / "other")
    assert rows == predictions(tmp_path / "other")
    with (tmp_path / "new" / "a.pkl").open("rb") as file:
        videos = pickle.load(file)
    assert [video["path"] for video in videos] == [row["path"] for row in rows]
    assert [video["gt_label"] for video in videos] == [0, 1] * 3
    assert [video["pred_label"] for video in videos] == [int(row["prediction"]) for row in rows]
    told = [" ".join(f"{value:.6g}" for value in video["pred_score"]) for video in videos]
    assert told == [row["scores"] for row in rows]


def test_a_dump_that_cannot_be_written_loses_no_score(words: list[object], tmp_path: Path, monkeypatch):
    dump = tmp_path / "a.json"
    dump.mkdir()
    error = run_tool("test", *words, "--dump", dump).error
    assert error.startswith(f"{dump}: cannot be written: ") and "its scores are kept" in error
    dump.rmdir()
    monkeypatch.setattr("slowfast.engine.scoring.Scorer._score_batch", None)
    outcome = run_tool("test", *words, "--dump", dump)
    assert outcome.code == 0 and "6 of 6 videos are scored already" in outcome.out
    assert len(json.loads(dump.read_text())) == 6


def test_a_test_with_an_unreadable_video_dumps_the_others(words: list[object], tmp_path: Path, video_set: Path):
    (tmp_path / "test.csv").write_text((video_set / "test.csv").read_text() + "videos/missing.mp4,1\n")
    pairs = ["DATA.PATH_TO_DATA_DIR", tmp_path]
    assert (
        "1 of 7 test videos could not be read" in run_tool("test", *words, "--dump", tmp_path / "a.npz", *pairs).error
    )
    with np.load(tmp_path / "a.npz", allow_pickle=False) as content:
        assert content["scores"].shape == (6, 2)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--dump", "a.txt"], "--dump a.txt: the ending '.txt' is no form; accepted: .pkl, .npz, .csv, .json"),
        (["--views", "4x2"], "views '4x2'; accepted: temporal clips x spatial crops, such as 4x3; crops are 1 or 3"),
        (
            ["TRAIN.ENABLE", "True"],
            "TRAIN.ENABLE True contradicts this command, which sets it to False; leave the pair",
        ),
        (["--views", "4x3", "TEST.NUM_ENSEMBLE_VIEWS", "2"], "TEST.NUM_ENSEMBLE_VIEWS 2 contradicts this command, "),
        (["SOLVER.BASE_LR"], "overrides are pairs KEY VALUE, but there are "),
    ],
)
def test_mistakes_are_one_line(more: list[str], told: str, words: list[object], tmp_path: Path):
    assert told in run_tool("test", *words, *more).error
    assert not (tmp_path / "run").exists()
