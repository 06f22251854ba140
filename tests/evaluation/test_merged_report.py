"""Tests of the parts of a list, joined, are the test of the list."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slowfast.errors import UserError
from slowfast.evaluation.list_hash import joined_hash, unordered_hash
from slowfast.evaluation.scored_files import load_scored
from slowfast.evaluation.several.merged_report import merge_reports
from tests.evaluation.finished_tests import made_up, write_test

NAMES = ["left", "right", "up"]
SCORES, LABELS = made_up(0, 30, 3, 0.7)
PATHS = [f"{row:02d}.mp4" for row in range(30)]
ROWS = st.lists(st.tuples(st.text(max_size=3), st.integers(0, 2)), max_size=6)


def part(folder: Path, rows: slice, **options: object) -> Path:
    return write_test(folder, SCORES[rows], LABELS[rows], **{"paths": PATHS[rows], "names": NAMES, **options})


@given(st.lists(ROWS, max_size=4))
def test_hashes_of_parts_add_up(parts: list[list[tuple[str, int]]]):
    whole = [row for rows in parts for row in rows]
    assert joined_hash(map(unordered_hash, parts)) == unordered_hash(whole) == unordered_hash(reversed(whole))
    assert len(unordered_hash(whole)) == 64


def test_other_rows_have_another_hash():
    hashes = [
        unordered_hash(rows) for rows in ([("a", 0)], [("a", 1)], [("b", 0)], [("a", 0)] * 2, [], [("a\udce9", 0)])
    ]
    assert len(set(hashes)) == 6


@pytest.mark.parametrize("kept", ["npz", "csv"])
def test_parts_make_the_whole(kept: str, tmp_path: Path):
    bad, gone = ("bad.mp4", "has no video stream"), ("gone.mp4", "No such file")
    parts = [
        part(tmp_path / "1", slice(0, 11), kept=kept, failures=[bad]),
        part(tmp_path / "2", slice(11, 12), kept=kept),
        part(tmp_path / "3", slice(12, 30), kept=kept, failures=[gone]),
    ]
    whole = part(tmp_path / "whole", slice(None), kept=kept, failures=[bad, gone])
    report, notes = merge_reports(parts, tmp_path / "merged")
    assert (report.expected, report.scored, report.failed) == (32, 30, 2)
    one, other = (json.loads((run / "test" / "report.json").read_text()) for run in (whole, tmp_path / "merged"))
    assert other["run"].pop("seconds") == 3 * one["run"].pop("seconds")
    if kept == "npz":
        assert one == other and notes == []
        for file in ("predictions.csv", "scores.npz"):
            assert (whole / "test" / file).read_bytes() == (tmp_path / "merged" / "test" / file).read_bytes()
    else:
        calibrations = [each.pop("calibration") for each in (one, other)]
        for name in ("error", "level", "log_loss"):
            assert calibrations[0][name] == pytest.approx(calibrations[1][name], rel=1e-4)
        assert one == other
        assert notes == ["scores of 3 of 3 tests were read with the six digits of predictions.csv"]


def test_raw_scores_and_several_labels_are_joined_alike(tmp_path: Path):
    # One label each: a table alone does not show that there may be more.
    shown = torch.nn.functional.one_hot(LABELS, 3).float()
    logits = SCORES.log()
    for name, labels, kept in (("one", LABELS, "npz"), ("several", shown, "csv")):
        folders = []
        for i, rows in enumerate((slice(0, 9), slice(9, 30), slice(None))):
            options = {"paths": PATHS[rows], "combined": "sum of scores", "kept": kept}
            folders.append(write_test(tmp_path / f"{name} {i}", logits[rows], labels[rows], **options))
        merge_reports(folders[:2], tmp_path / name)
        (merged, _), (whole, videos) = load_scored(tmp_path / name), load_scored(folders[2])
        assert (merged.top1, merged.intervals) == (whole.top1, whole.intervals)
        assert merged.mean_average_precision == whole.mean_average_precision and videos.labels.ndim == labels.ndim


def test_a_part_without_a_scored_video_counts(tmp_path: Path):
    parts = [part(tmp_path / "1", slice(None)), part(tmp_path / "2", slice(0, 0), failures=[("bad.mp4", "gone")])]
    for order in (parts, parts[::-1]):
        report, _ = merge_reports(order, tmp_path / order[0].name / "merged")
        assert (report.expected, report.scored, report.failed) == (31, 30, 1)
        assert report.run.list_sha256 == unordered_hash([*zip(PATHS, LABELS.tolist(), strict=True), ("bad.mp4", 0)])
    with pytest.raises(UserError, match="has no scored video, nor have the other parts"):
        merge_reports([parts[1], part(tmp_path / "3", slice(0, 0), failures=[("b.mp4", "")])], tmp_path / "m")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"run": {"weights_sha256": "3" * 64}}, f"the SHA-256 of the checkpoint is {'3' * 64}, and {'1' * 64} in "),
        ({"run": {"config_sha256": "4" * 64}}, f"the SHA-256 of the config is {'4' * 64}, and {'2' * 64} in "),
        ({"clips": 1}, "the setting 'clips' is 1, and 4 in "),
        ({"combined": "sum of scores"}, "the setting 'combined' is sum of scores, and sum of probabilities in "),
        ({"names": ["left", "right", "down"]}, "class 2 is 'down', and 'up' in "),
        ({"paths": ["9.mp4", "05.mp4", *PATHS[12:]]}, "1 of its videos are in "),
        ({"failures": [("00.mp4", "gone"), ("01.mp4", "gone")]}, "2 of its videos are in "),
        ({"unscored": [("02.mp4", "not finite")]}, "1 of its videos are in "),
    ],
)
def test_other_tests_are_refused_by_what_differs(options: dict, told: str, tmp_path: Path):
    parts = [part(tmp_path / "first", slice(0, 10)), part(tmp_path / "second", slice(10, 30), **options)]
    with pytest.raises(UserError) as error:
        merge_reports(parts, tmp_path / "merged")
    assert str(error.value).startswith(f"{parts[1]}: {told}{parts[0]}" if "in " in told else told)
    assert not (tmp_path / "merged").exists()


def test_other_code_is_said(tmp_path: Path):
    other = {"git_commit": "def", "versions": {"torch": "2.9"}}
    parts = [part(tmp_path / "1", slice(0, 10)), part(tmp_path / "2", slice(10, 30), run=other)]
    report, notes = merge_reports(parts, tmp_path / "merged")
    assert notes == ["the parts were not all made with the same code: commit abc and def, torch 2.8 and 2.9"]
    assert report.run.git_commit == "abc and def" and report.run.versions == {"torch": "2.8 and 2.9"}


def test_equal_weights_under_several_names_are_one_checkpoint(tmp_path: Path):
    parts = [part(tmp_path / "1", slice(0, 10)), part(tmp_path / "2", slice(10, 30), checkpoint="/other/best.pyth")]
    report, notes = merge_reports(parts, tmp_path / "merged")
    told = "the same weights have several names: runs/a/checkpoint_best.pyth, /other/best.pyth"
    assert notes == [told] and report.setting.checkpoint == "runs/a/checkpoint_best.pyth"


def test_temporal_probes_are_left_out_and_that_is_said(tmp_path: Path):
    parts = [part(tmp_path / "1", slice(0, 10)), part(tmp_path / "2", slice(10, 30))]
    file = parts[1] / "test" / "report.json"
    file.write_text(
        json.dumps(
            {**json.loads(file.read_text()), "probes": {"measure": "top1", "videos": 20, "normal": 50.0, "probes": {}}}
        )
    )
    report, notes = merge_reports(parts, tmp_path / "merged")
    assert report.probes is None
    assert notes == ["temporal probes of 1 tests are left out: their scores are not kept"]


def test_joined_tests_can_be_joined_again(tmp_path: Path):
    parts = [part(tmp_path / f"{i}", slice(10 * i, 10 * i + 10)) for i in range(3)]
    merge_reports(parts[:2], tmp_path / "two")
    report, _ = merge_reports([tmp_path / "two", parts[2]], tmp_path / "three")
    whole, _ = load_scored(part(tmp_path / "whole", slice(None)))
    assert report.run.list_sha256 == whole.run.list_sha256 and report.top1 == whole.top1
