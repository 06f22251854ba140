"""Class folders: links are followed and never in a circle, and what is left out is said; the same for list makers."""

import os
from itertools import chain
from pathlib import Path

import pytest

from slowfast.datasets.lists.class_folders import load_class_folders
from slowfast.datasets.lists.folder_walk import find_videos
from slowfast.datasets.preparation.make_lists import make_folder_lists
from slowfast.datasets.preparation.media_index import index_videos
from slowfast.errors import UserError
from tests.time_bound import within


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def linked_folders(tmp_path: Path) -> Path:
    """Classes a and b; b is a link, a has a link to a folder, to a file, to nothing, and two circles."""
    touch(tmp_path / "elsewhere", "b/2.mp4", "more/3.mp4", "one.mp4")
    touch(tmp_path / "root" / "train", "a/1.mp4", "a/x/4.MP4", "a/.hidden/5.mp4", "a/.6.mp4")
    folder = tmp_path / "root" / "train"
    (folder / "b").symlink_to(tmp_path / "elsewhere" / "b")
    (folder / "a" / "more").symlink_to(tmp_path / "elsewhere" / "more")
    (folder / "a" / "one.mp4").symlink_to(tmp_path / "elsewhere" / "one.mp4")
    (folder / "a" / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (folder / "a" / "self").symlink_to(folder / "a")
    (folder / "a" / "x" / "up").symlink_to("../..")
    (folder / "a" / "loop").symlink_to("loop")
    return folder


VIDEOS = ["a/1.mp4", "a/more/3.mp4", "a/one.mp4", "a/x/4.MP4", "b/2.mp4"]


def test_links_are_followed_and_circles_are_not(tmp_path: Path):
    folder = linked_folders(tmp_path)
    with within(20, "walking"):
        found = find_videos(folder)
    assert found.paths == VIDEOS
    assert found.told_left_out() == "left out: 2 broken links, 2 links in a circle"


def test_the_data_set_and_the_list_makers_find_the_same_videos(tmp_path: Path):
    folder = linked_folders(tmp_path)
    records = load_class_folders(folder.parent, "train", class_names=["a", "b"], num_classes=2)
    assert [os.path.relpath(record.path, folder) for record in records] == VIDEOS
    assert [record.label for record in records] == [0, 0, 0, 0, 1]
    assert sorted(set(chain.from_iterable(index_videos(folder, num_workers=2).by_name.values()))) == VIDEOS
    make_folder_lists(folder, tmp_path / "out", val_share=0.3, test_share=0.3)
    lists = [(tmp_path / "out" / f"{split}.csv").read_text().split() for split in ("train", "val", "test")]
    assert sorted(row.rpartition(",")[0] for rows in lists for row in rows) == VIDEOS


def test_what_is_left_out_is_one_line_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    names = ["a/1.mp4", "a/notes.txt", "a/deep/2.JPG", "a/3.jpg", "a/README", "b/4.mpg4", "no_class.mp4", "b/.DS_Store"]
    folder = touch(tmp_path / "val", *names)
    for name in "bcdefgh":
        (folder / name).mkdir(exist_ok=True)
    with caplog.at_level("INFO"):
        load_class_folders(tmp_path, "val", class_names=list("abcdefgh"), num_classes=8)
    told = (
        f"{folder}: 1 videos in 8 classes; left out: 2 .jpg, 1 .mpg4, 1 .txt, 1 videos outside of class folders, "
        f"1 without suffix; 7 of 8 classes have no videos: b, c, d, e, f, ..."
    )
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("WARNING", told)]


def test_a_split_without_a_class_is_said_even_without_its_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    touch(tmp_path / "val", "b/1.mp4")
    load_class_folders(tmp_path, "val", class_names=["a", "b"], num_classes=2)
    assert "1 of 2 classes have no videos: a" in caplog.text


def test_whole_folders_are_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    touch(tmp_path / "val", "a/1.mp4", "b/1.mp4")
    with caplog.at_level("INFO"):
        load_class_folders(tmp_path, "val", class_names=["a", "b"], num_classes=2)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert caplog.text.endswith(f"{tmp_path}/val: 2 videos in 2 classes\n")


def test_the_list_maker_names_the_splits_without_a_class(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    root = touch(tmp_path / "media", *(f"a/{i}.mp4" for i in range(9)), "b/1.mp4", "b/2.txt")
    with caplog.at_level("INFO"):
        summaries = make_folder_lists(root, tmp_path / "out")
    assert f"{root}: 10 videos in 2 classes; left out: 1 .txt" in caplog.text
    assert [summary.line().partition("; ")[2] for summary in summaries] == [
        "",
        *["1 of 2 classes have no videos: b"] * 2,
    ]


def test_many_kinds_are_cut_short(tmp_path: Path):
    root = touch(tmp_path, "a/1.mp4", *(f"a/x.{i}" for i in range(20)), "a/y.3", "a/z.3")
    told = find_videos(root).told_left_out()
    assert told.startswith("left out: 3 .3, 1 .0, 1 .1, ") and told.endswith(", 10 others") and told.count(",") == 10


def test_a_folder_that_is_none_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=f"{tmp_path}/x: is no folder"):
        find_videos(tmp_path / "x")
    with pytest.raises(UserError, match=f"{tmp_path}: holds no video; accepted suffixes: .3gp"):
        find_videos(tmp_path)
