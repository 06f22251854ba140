"""What a long video shows, and when: intervals, their files, and the strip of key frames."""

import csv
import json
import os
import re
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from slowfast.datasets import VideoReader
from slowfast.errors import UserError
from slowfast.inference import WindowPrediction, publish
from slowfast.inference.streaming.timeline import (
    Interval,
    as_csv,
    as_json,
    as_srt,
    join_windows,
    key_frames,
    timeline,
    write_timeline,
)
from slowfast.visualization.timeline_strip import Span, draw_strip, key_times
from tests.command_line import uniformer
from tests.inference.models import small_classifier
from tests.inference.test_stream import scene_classifier
from tests.odd_videos import write_stream
from tests.videos import write_sound, write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 frames, 3.2 s."""
    return write_video(tmp_path_factory.mktemp("timeline") / "long video.mp4", 80, height=36, width=48)


def windows(*names: str, length_s: float = 2.0, stride_s: float = 1.0) -> list[WindowPrediction]:
    empty = torch.empty(0)
    return [
        WindowPrediction(k * stride_s, k * stride_s + length_s, [(name, 0.1 * (k + 1))], empty, empty, empty)
        for k, name in enumerate(names)
    ]


def test_neighbours_of_one_class_are_joined_and_cover_the_video():
    found = join_windows(windows("a", "a", "b", "a"), end_s=5.5)
    assert [(each.start_s, each.end_s, each.name, each.num_windows) for each in found] == [
        (0.0, 2.5, "a", 2),
        (2.5, 3.5, "b", 1),
        (3.5, 5.5, "a", 1),
    ]
    assert [each.probability for each in found] == pytest.approx([0.15, 0.3, 0.4])
    assert join_windows(windows("a"), end_s=9.0) == [Interval(0.0, 9.0, "a", 0.1)]


INTERVALS = [Interval(0.0, 61.0004, "say \"a\", 'b'", 0.5, 3), Interval(61.0004, 3700.25, "x\n--> y", 0.984)]


def test_forms_of_a_timeline(tmp_path: Path):
    rows = list(csv.DictReader(as_csv(INTERVALS).splitlines(keepends=True)))
    assert [row["class"] for row in rows] == [each.name for each in INTERVALS]
    assert rows[0]["start_s"] == "0.000" and rows[1]["probability"] == "0.9840" and rows[0]["windows"] == "3"
    assert [Interval(**row) for row in json.loads(as_json(INTERVALS))] == INTERVALS
    assert as_srt(INTERVALS) == (
        "1\n00:00:00,000 --> 00:01:01,000\nsay \"a\", 'b' (50 %)\n\n2\n00:01:01,000 --> 01:01:40,250\nx -> y (98 %)\n"
    )
    write_timeline(INTERVALS, tmp_path / "a.srt", "srt")
    assert (tmp_path / "a.srt").read_text() == as_srt(INTERVALS) and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(UserError, match=r"nowhere/a\.csv: cannot be written: No such file or directory"):
        write_timeline(INTERVALS, tmp_path / "nowhere" / "a.csv", "csv")


@pytest.mark.parametrize("is_scene", [True, False])
def test_a_timeline_is_that_of_the_windows(is_scene: bool, video: Path):
    classifier = scene_classifier(4) if is_scene else small_classifier("uniformerv2")
    intervals, told = timeline(classifier, str(video), 0.8, 0.4)
    expected = [window.classes[0] for window in classifier.stream(video, 0.8, 0.4)]
    assert sum(each.num_windows for each in intervals) == len(expected) >= 6
    repeated = [each.name for each in intervals for _ in range(each.num_windows)]
    assert repeated == [name for name, _ in expected]
    assert intervals[0].start_s == 0 and intervals[-1].end_s == pytest.approx(80 / 25)
    assert all(one.end_s == other.start_s for one, other in pairwise(intervals))
    assert any("joins frames from its first layers" in note for note in told) is not is_scene


def test_a_video_shorter_than_a_window_is_one_interval(video: Path):
    classifier = scene_classifier(4)
    (interval,), told = timeline(classifier, str(video), 60.0)
    name, probability = classifier.predict(video, views="1x1").classes[0]
    assert interval == Interval(0.0, pytest.approx(3.2), name, probability)
    assert told[-1] == "the whole video is classified as one clip" and told[-2].startswith("no window was full")


def test_the_strip_shows_frames_in_their_order_and_intervals_in_their_place():
    spans = [Span(0.0, 4.0, "a$b", 1.0), Span(4.0, 10.0, "_c", 0.5)]
    frames = [np.full((36, 64, 3), 20 * number, np.uint8) for number in range(10)]
    assert key_times(10.0) == [0.5 + number for number in range(10)]
    figure = draw_strip(spans, frames, title="$x.mp4")
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    above, bar, _ = figure.axes

    def at(axes, x: float, y: float) -> list[int]:
        column, row = axes.transData.transform((x, y)).astype(int)
        return picture[picture.shape[0] - row, column].tolist()

    assert [at(above, number + 0.5, 0.5) for number in range(10)] == [[20 * number] * 3 for number in range(10)]
    assert at(bar, 2.0, 0.8) == at(bar, 3.0, 0.2) != at(bar, 7.0, 0.3)
    assert at(bar, 7.0, 0.8) == [255, 255, 255]  # above its probability


@pytest.mark.parametrize("end_s", [0.1, 3.0, 19.0, 90.0])
def test_the_times_below_the_strip_differ(end_s: float):
    figure = draw_strip([Span(0.0, end_s, "a", 1.0)], [np.zeros((36, 64, 3), np.uint8)] * 10, title="x")
    figure.canvas.draw()
    labels = [text.get_text() for text in figure.axes[1].get_xticklabels()]
    assert len(set(labels)) == len(labels)


def test_many_classes_share_a_grey():
    spans = [Span(float(k), float(k + 1), f"class {k}", 0.5) for k in range(14)]
    figure = draw_strip(spans, [np.zeros((36, 64, 3), np.uint8)] * 10, title="x")
    labels = [text.get_text() for text in figure.axes[2].get_legend().get_texts()]
    assert len(labels) == 11 and labels[-1] == "4 other classes (29 % of the time)"


@pytest.fixture(scope="module")
def words(video: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = publish(scene_classifier(4), tmp_path_factory.mktemp("folder") / "scene")
    return ["--model", str(folder), "--device", "cpu", "--no_verify"]


def test_the_command_writes_what_is_asked_for(words: list[str], video: Path, tmp_path: Path, capsys):
    outputs = {form: tmp_path / f"out.{form}" for form in ("csv", "json", "srt", "png")}
    named = [word for form, path in outputs.items() for word in (f"--{form}", path)]
    assert uniformer("timeline", video, *words, "--window", 0.8, "--stride", 0.4, *named) == 0
    assert capsys.readouterr().out == ""
    assert outputs["csv"].read_text().startswith("start_s,end_s,class,probability,windows\n0.000,")
    assert len(json.loads(outputs["json"].read_text())) == len(outputs["csv"].read_text().splitlines()) - 1
    assert re.match(r"1\n00:00:00,000 --> 00:00:0\d,\d{3}\n", outputs["srt"].read_text())
    assert Image.open(outputs["png"]).size[0] == 1540
    assert uniformer("timeline", video, *words, "--window", 0.8, "--stride", 0.4) == 0
    assert capsys.readouterr().out == outputs["csv"].read_text()


def test_what_cannot_be_written_is_told_before_the_work(words: list[str], video: Path, tmp_path: Path, capsys):
    for option, name, told in (
        ("--png", "strip.txt", "the suffix names no format of pictures; accepted: "),
        ("--csv", "none/t.csv", f"cannot be written: there is no folder {tmp_path}/none"),
    ):
        assert uniformer("timeline", video, *words, option, tmp_path / name) == 2
        assert capsys.readouterr().err.startswith(f"error: {tmp_path / name}: {told}")  # and no note before it


@pytest.mark.slow
def test_what_is_no_video_is_one_line(words: list[str], tmp_path: Path, capsys):
    (tmp_path / "text.mp4").write_text("no video")
    told = {
        tmp_path / "none.mp4": "there is no such file; accepted: a video file",
        tmp_path: "is no file; accepted: a video file",
        "http://127.0.0.1/x.mp4": "there is no such file; accepted: a video file (uniformer stream reads cameras",
        tmp_path / "text.mp4": "",
        write_sound(tmp_path / "sound.mp4"): "has no video stream",
    }
    for path, message in told.items():
        assert uniformer("timeline", path, *words) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: {path}: {message}") and err.count("\n") == 1


def test_a_picture_of_no_known_format_is_refused(words: list[str], video: Path, tmp_path: Path, capsys):
    assert uniformer("timeline", video, *words, "--window", 0.8, "--png", tmp_path / "a.xyz") == 2
    assert "the suffix names no format of pictures" in capsys.readouterr().err


def test_key_frames_are_those_shown_at_their_times_where_frames_are_not_even(tmp_path: Path):
    # 20 frames in the first second, then one per second.
    times_ms = [50 * number for number in range(20)] + [1000 * number for number in range(1, 10)]
    path = write_stream(tmp_path / "a.mp4", "libx264", len(times_ms), options={}, times_ms=times_ms)
    frames = key_frames(str(path), [0.0, 0.52, 1.5, 9.9], 10.0)
    with VideoReader(path) as reader:
        expected = reader.read([0, 10, 20, 28]).numpy()
    assert all(map(np.array_equal, frames, expected))


def test_a_result_replaces_no_video_device_or_other_result(words: list[str], video: Path, tmp_path: Path, capsys):
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(video.read_bytes())
    (tmp_path / "link.csv").symlink_to(copy)
    for options, told in (
        (["--csv", copy], f"{copy}: is the video itself; name another file"),
        (["--csv", tmp_path / "link.csv"], f"{tmp_path}/link.csv: is the video itself; name another file"),
        (["--csv", tmp_path / "a", "--json", tmp_path / "a"], f"{tmp_path}/a: is named for two forms; name a file for"),
        (["--srt", tmp_path], f"{tmp_path}: cannot be written: it is a folder; name a file in it"),
    ):
        assert uniformer("timeline", copy, *words, *options) == 2
        assert capsys.readouterr().err.startswith(f"error: {told}")
    assert copy.read_bytes() == video.read_bytes()
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    thread = threading.Thread(target=lambda: read.append(pipe.read_text()))
    thread.start()
    write_timeline([Interval(0, 1, "a", 0.5)], pipe, "csv")
    thread.join()
    assert pipe.is_fifo() and read == [as_csv([Interval(0, 1, "a", 0.5)])]
    with pytest.raises(UserError, match="cannot be written: File name too long"):
        write_timeline([Interval(0, 1, "a", 0.5)], tmp_path / ("a" * 300), "csv")


def test_a_strip_shows_names_that_are_no_text():
    frame = np.zeros((4, 6, 3), np.uint8)
    draw_strip([Span(0.0, 1.0, "on\ntwo\tlines", 0.5)], [frame] * 10, title="bad\udcff\n$.mp4").canvas.draw()
