"""Real tests of the parts of a list, joined, leave what one test of the list leaves, byte by byte."""

import json
import re
from pathlib import Path

import pytest

from slowfast.evaluation.several.merged_report import merge_reports
from tests.command_line import Outcome, run_net, tiny_arguments
from tests.videos import truncate, write_list, write_video

TIMES = re.compile(r'\n *"(seconds|videos_per_s)": [^\n]*')


@pytest.mark.parametrize("raw", [False, True], ids=["probabilities", "raw scores"])
def test_parts_make_the_whole(raw: bool, finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path):
    cut = truncate(write_video(tmp_path / "cut.mp4", 30, gop=10, is_faststart=True), 20)
    videos = [f"videos/test_{i}.mp4" for i in range(6)]
    videos = [*videos[:2], "videos/missing.mp4", str(cut), *videos[2:], "videos/gone.mp4"]
    rows = [(name, i % 2) for i, name in enumerate(videos)]
    checkpoint = finished_run[0] / "checkpoints" / "checkpoint_last.pyth"
    keys = ["TRAIN.ENABLE", False, "TEST.CHECKPOINT_FILE_PATH", checkpoint, "TEST.SCORES", "npz"]
    folders = []
    for name, part in {"whole": rows, "first": rows[:4], "second": rows[4:]}.items():
        lists, folder = tmp_path / "lists" / name, tmp_path / name
        lists.mkdir(parents=True)
        write_list(lists / "test.csv", part)
        own = ["DATA.PATH_TO_DATA_DIR", lists, "TEST.ADD_SOFTMAX", not raw]
        outcome = run_net(*tiny_arguments(video_set, folder, *keys, *own))
        assert outcome.code == 1 and "could not be read" in outcome.error
        folders.append(folder)
    whole, *parts = folders
    report, notes = merge_reports(parts, tmp_path / "merged")
    assert (report.expected, report.scored, report.failed, report.truncated) == (9, 7, 2, 1) and notes == []
    for file in ("predictions.csv", "scores.npz"):
        assert (tmp_path / "merged" / "test" / file).read_bytes() == (whole / "test" / file).read_bytes()
    one, other = ((run / "test" / "report.json").read_text() for run in (whole, tmp_path / "merged"))
    assert TIMES.sub("", other) == TIMES.sub("", one)
    seconds = [json.loads((part / "test" / "report.json").read_text())["run"]["seconds"] for part in parts]
    assert report.run.seconds == sum(seconds)
