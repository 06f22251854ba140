"""Checking every video of a list: what is found bad, and what a second run leaves out."""

import csv
import os
from functools import partial
from pathlib import Path

import pytest

from slowfast.datasets.preparation import check_videos
from slowfast.datasets.preparation.check_videos import BadVideo, check_video, find_bad_videos
from slowfast.datasets.reading.frame_reader import FrameFolderReader
from slowfast.datasets.reading.video_reader import VideoReader
from slowfast.datasets.records import VideoRecord
from tests.videos import rename_codec, truncate, write_frames, write_sound, write_video


def crash(path: str) -> VideoReader:
    """A reader that ends its process on some files, as a broken decoder may."""
    if path.endswith("crash.mp4"):
        os.abort()
    return VideoReader(path)


@pytest.fixture
def videos(tmp_path: Path) -> list[VideoRecord]:
    """Good, good, text, missing, truncated, sound alone, empty."""
    write_video(tmp_path / "0.mp4", 12)
    write_video(tmp_path / "1.mp4", 1)
    (tmp_path / "2.mp4").write_text("no video")
    truncate(write_video(tmp_path / "4.mp4", 60, gop=10, is_faststart=True), after_frames=40)
    write_sound(tmp_path / "5.mp4")
    (tmp_path / "6.mp4").touch()
    return [VideoRecord(str(tmp_path / f"{i}.mp4"), i) for i in range(7)]


def test_bad_videos_are_written_with_their_cause(videos: list[VideoRecord], tmp_path: Path):
    output = tmp_path / "report" / "bad.csv"
    bad = find_bad_videos({"train": (videos, VideoReader), "val": (videos[2:3], VideoReader)}, output=output)
    assert [(video.split, video.label) for video in bad] == [("train", i) for i in (2, 3, 4, 5, 6)] + [("val", 2)]
    assert bad[1] == BadVideo("train", videos[3].path, 3, "No such file or directory")
    assert bad[3].cause == "has no video stream" and bad[2].cause.startswith("is truncated: it has ")
    rows = list(csv.reader(output.read_text().splitlines()))
    assert rows[0] == ["split", "path", "label", "cause"] and rows[1][:3] == ["train", videos[2].path, "2"]
    assert len(rows) == 7


def test_a_codec_that_nobody_knows_is_told_and_the_others_are_checked(tmp_path: Path):
    paths = [write_video(tmp_path / f"{i}.mp4", 4) for i in range(2)]
    rename_codec(paths[0])
    records = [VideoRecord(str(path), 0) for path in paths]
    (bad,) = find_bad_videos({"train": (records, VideoReader)}, output=tmp_path / "bad.csv")
    assert bad.path == str(paths[0]) and bad.cause.startswith("its video stream has a codec that FFmpeg does not know")


def test_a_list_without_bad_videos_leaves_the_header(videos: list[VideoRecord], tmp_path: Path):
    output = tmp_path / "bad.csv"
    assert find_bad_videos({"train": (videos[:2], VideoReader)}, output=output) == []
    assert output.read_text() == "split,path,label,cause\n"


def test_another_run_checks_what_is_new_or_changed(
    videos: list[VideoRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    checked = []

    def counting_check(record: VideoRecord, **arguments) -> str:
        checked.append(record.label)
        if len(checked) == 4:
            raise KeyboardInterrupt
        return check_video(record, **arguments)

    monkeypatch.setattr(check_videos, "check_video", counting_check)
    run = partial(find_bad_videos, {"train": (videos, VideoReader)}, output=tmp_path / "bad.csv")
    with pytest.raises(KeyboardInterrupt):
        run()
    assert checked == [0, 1, 2, 3] and not (tmp_path / "bad.csv").exists()
    assert [video.label for video in run()] == [2, 3, 4, 5, 6]
    assert checked[4:] == [3, 4, 5, 6]
    write_video(Path(videos[2].path), 5)
    write_video(Path(videos[3].path), 5)
    assert [video.label for video in run()] == [4, 5, 6]
    assert checked[8:] == [2, 3]
    # A quick look is no full check.
    run(num_frames=2)
    assert len(checked) == 10 + 7


def test_a_quick_look_reads_a_few_frames_from_the_first_to_the_last(videos: list[VideoRecord]):
    reads = []

    class Recording(VideoReader):
        def read(self, indices):
            reads.append(list(indices))
            return super().read(indices)

    assert check_video(videos[0], open_source=Recording, num_frames=3) == ""
    assert reads == [[0, 6, 11]]
    assert check_video(videos[0], open_source=Recording, num_frames=1) == "" and reads[1:] == [[0]]
    assert check_video(videos[1], open_source=Recording, num_frames=3) == ""


def test_all_frames_are_read_in_parts_that_fit_the_memory(videos: list[VideoRecord], monkeypatch: pytest.MonkeyPatch):
    reads = []

    class Recording(VideoReader):
        def read(self, indices):
            reads.append(list(indices))
            return super().read(indices)

    monkeypatch.setattr(check_videos, "_MEMORY_BYTES", 5 * 32 * 32 * 3)
    assert check_video(videos[0], open_source=Recording) == ""
    assert reads == [[0], [0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]


def test_folders_of_frames_are_checked_file_by_file(tmp_path: Path):
    write_frames(tmp_path / "a", 5)
    write_frames(tmp_path / "b", 5)
    (tmp_path / "b" / "00004.jpg").write_bytes(b"broken")
    records = [VideoRecord(str(tmp_path / name), 0, num_frames=n) for name, n in (("a", 5), ("b", 5), ("a", 6))]
    reader = partial(FrameFolderReader, image_template="{:05d}.jpg")
    bad = find_bad_videos({"train": (records, reader)}, output=tmp_path / "bad.csv")
    assert [video.path[-1] for video in bad] == ["b", "a"]
    assert "00004.jpg" in bad[0].cause and "00006.jpg is missing" in bad[1].cause


def test_a_video_that_ends_its_process_is_bad_and_the_others_are_checked(tmp_path: Path):
    for name in ("a", "crash", "b"):
        write_video(tmp_path / f"{name}.mp4", 3)
    records = [VideoRecord(str(tmp_path / f"{name}.mp4"), 0) for name in ("a", "crash", "b")]
    bad = find_bad_videos({"train": (records, crash)}, output=tmp_path / "bad.csv", num_workers=2)
    assert bad == [BadVideo("train", records[1].path, 0, "its process ended with SIGABRT")]
