"""Videos that a run names twice are said, with file:line and a count, by their paths alone."""

import os
import time
from pathlib import Path

import pytest

from slowfast.datasets.lists.annotations import load_list
from slowfast.datasets.lists.line_forms import FRAME_FOLDER, PATH_LABEL, PATH_LABELS, TIME_SPAN, ListForm
from slowfast.datasets.lists.record_table import RecordTable
from slowfast.datasets.lists.repeated_videos import describe_repeats
from slowfast.datasets.records import VideoRecord
from tests.command_line import run_net, run_tool, tiny_arguments


def load(path: Path, text: str, form: ListForm = PATH_LABEL, prefix: str = "/data") -> RecordTable:
    path.write_text(text)
    return load_list(path, form, separator=",", num_classes=100, prefix=prefix)


def test_lists_without_repeats_say_nothing(tmp_path: Path):
    train, val = load(tmp_path / "train.csv", "a,1\nb,1\n"), load(tmp_path / "val.csv", "c,1\nA,1\n/data/data/a,1\n")
    assert describe_repeats({"train": train, "val": val, "test": val}) == []
    assert describe_repeats({"train": list(train), "val": list(val)}) == []


def test_a_path_twice_in_a_list_is_said_with_both_lines(tmp_path: Path):
    path = tmp_path / "train.csv"
    train = load(path, "a,1\nb,1\n\nc,2\nb,1\n")
    assert describe_repeats({"train": train}) == [
        f"{path}:5: /data/b is in line 2, too; in all, 1 of 4 rows name a video again, and count as further ones"
    ]


def test_of_several_the_example_has_two_labels(tmp_path: Path):
    path = tmp_path / "val.csv"
    train, val = load(tmp_path / "train.csv", "x,1\n"), load(path, "a,1\na,1\nb,1\na,1\nb,3\na,2\n")
    told = (
        f"{path}:5: /data/b is in line 3, too, with label 1 and here 3; in all, 4 of 6 rows name a video again, 2 of "
        f"them with another label, and count as further ones"
    )
    assert describe_repeats({"train": train, "val": val}) == [told]


@pytest.mark.parametrize(
    "other", ["x//a", "./x/a", "x/./a", "x/y/../a", "/data/x/a", "/data//x/a", "../data/x/a", "x/a/"]
)
@pytest.mark.parametrize("prefix", ["/data", "/data/", "/other/../data"])
def test_paths_are_compared_as_they_resolve(tmp_path: Path, other: str, prefix: str):
    train = load(tmp_path / "train.csv", f"b,1\nx/a,1\n{other},1\n", prefix=prefix)
    (told,) = describe_repeats({"train": train})
    assert told.startswith(f"{tmp_path}/train.csv:3: ") and " is in line 2, too; in all, 1 of 3 rows " in told
    train, val = load(tmp_path / "train.csv", "x/a,1\n", prefix=prefix), load(tmp_path / "val.csv", f"{other},1\n")
    assert len(describe_repeats({"train": train, "val": val})) == 1


def test_relative_paths_start_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert describe_repeats({"train": load(tmp_path / "l.csv", f"a,1\n{tmp_path}/a,1\n", prefix="")})
    assert describe_repeats({"train": load(tmp_path / "l.csv", f"b/a,1\n{tmp_path}/b/a,1\n", prefix=".")})


def test_labels_of_several_kinds_are_compared(tmp_path: Path):
    (told,) = describe_repeats({"train": load(tmp_path / "l.csv", "a,1;2\na,2;1\na,2\n", PATH_LABELS)})
    assert "l.csv:3: /data/a is in line 1, too, with label 1;2 and here 2; in all, 2 of 3 rows" in told
    (told,) = describe_repeats({"train": load(tmp_path / "l.csv", "a,9,1\na,8,1\n", FRAME_FOLDER)})
    assert "l.csv:2: /data/a is in line 1, too; in all, 1 of 2 rows" in told


def test_parts_of_an_untrimmed_video_are_no_repeats(tmp_path: Path):
    """ActivityNet trains on several parts of a video, and validates a video once for each of its classes."""
    train = load(tmp_path / "train.csv", "a,9,1,2,1\na,9,2,3,1\na,9,1,2,2\n", TIME_SPAN)
    assert describe_repeats({"train": train}) == []
    (told,) = describe_repeats({"train": load(tmp_path / "train.csv", "a,9,1,2,1\na,9,2,3,1\na,9,1,2,1\n", TIME_SPAN)})
    assert "train.csv:3: /data/a is in line 1, too; in all, 1 of 3 rows" in told
    val = load(tmp_path / "val.csv", "a,9,0,9,1\n", TIME_SPAN)
    assert len(describe_repeats({"train": train, "val": val})) == 1


def test_videos_of_training_that_are_tested_are_said_once_for_each_list(tmp_path: Path):
    train = load(tmp_path / "train.csv", "a,1\nb,1\nc,1\n")
    val, test = load(tmp_path / "val.csv", "x,1\nb,1\n/data/c,1\n"), load(tmp_path / "test.csv", "a,0\n")
    told = (
        f"{tmp_path}/val.csv:2: /data/b is trained on, too, in {tmp_path}/train.csv:2; in all, 2 of 3 rows of val name "
        f"a training video"
    )
    assert describe_repeats({"train": train, "val": val, "test": val}) == [told]
    assert len(describe_repeats({"train": train, "val": val, "test": test})) == 2


def test_records_of_a_reader_from_outside_are_compared_too():
    train = [VideoRecord("/x/a", 1), VideoRecord("/x/../x/a", 2)]
    within, between = describe_repeats({"train": train, "val": [VideoRecord("/x/a", 1)]})
    assert within.startswith("train list, row 2: /x/../x/a is in row 1, too, with label 1 and here 2; in all, 1 of 2")
    assert between.startswith("val list, row 1: /x/a is trained on, too, in train list, row 1; in all, 1 of 1 rows")
    assert describe_repeats({"train": train[:1], "val": []}) == []


def test_many_rows_are_compared_without_looking_at_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rows = [f"class_{i % 40}/video_{i:06}.mp4,{i % 40}\n" for i in range(50_000)]
    train, val = load(tmp_path / "train.csv", "".join(rows)), load(tmp_path / "val.csv", "".join(rows[::2]))
    for name in ("stat", "lstat", "readlink"):
        monkeypatch.setattr(os, name, None)
    start = time.process_time()
    (told,) = describe_repeats({"train": train, "val": val})
    assert time.process_time() - start < 1.0
    assert told.endswith("in all, 25000 of 25000 rows of val name a training video")


# In a run


def repeating_set(video_set: Path, folder: Path) -> Path:
    """Lists of ``video_set`` whose training list has a video twice, and whose test list has a training video."""
    texts = {split: (video_set / f"{split}.csv").read_text().splitlines() for split in ("train", "val", "test")}
    path, _, label = texts["train"][0].rpartition(",")
    texts["train"].append(f"{path},{1 - int(label)}")
    texts["test"].append(texts["train"][1])
    for split, rows in texts.items():
        (folder / f"{split}.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_run_says_it_once(video_set: Path, tmp_path: Path):
    lists = repeating_set(video_set, tmp_path)
    words = tiny_arguments(video_set, tmp_path / "run", "DATA.PATH_TO_DATA_DIR", lists, "SOLVER.MAX_EPOCH", 1)
    outcome = run_net(*words)
    assert outcome.code == 0
    for told in (
        f"WARNING {lists}/train.csv:9: {video_set}/videos/train_0.mp4 is in line 1, too, with label 0 and here 1; ",
        f"WARNING {lists}/test.csv:7: {video_set}/videos/train_1.mp4 is trained on, too, in {lists}/train.csv:2; ",
    ):
        assert outcome.out.count(told) == (tmp_path / "run" / "log.txt").read_text().count(told) == 1


def test_a_test_alone_and_the_check_of_videos_say_it(video_set: Path, tmp_path: Path):
    lists = repeating_set(video_set, tmp_path)
    (lists / "test.csv").write_text((lists / "train.csv").read_text())
    told = f"{lists}/test.csv:9: {video_set}/videos/train_0.mp4 is in line 1, too, with label 0 and here 1; "
    config = tiny_arguments(video_set, tmp_path / "run", "DATA.PATH_TO_DATA_DIR", lists)
    words = ("--output", tmp_path / "bad.csv", "--workers", 0, "--splits", "test", "--num-frames", 1)
    assert told in run_tool("prepare/check_videos", *words, *config).out
    outcome = run_net(*config, "SOLVER.MAX_EPOCH", 1, "TEST.ENABLE", False)
    assert outcome.code == 0
    outcome = run_net(*config, "TRAIN.ENABLE", False)
    assert outcome.code == 0 and outcome.out.count(told) == 1
