"""Transcoding: the same frames, smaller and with more key frames; and nothing good is lost."""

import csv
import json
import os
from fractions import Fraction
from numbers import Rational
from pathlib import Path

import av
import numpy as np
import pytest

from slowfast.datasets.preparation import transcode
from slowfast.datasets.preparation.reading_speed import measure_speed_up
from slowfast.datasets.preparation.transcode import (
    Settings,
    frame_rate,
    scaled_size,
    transcode_folder,
    transcode_video,
)
from slowfast.datasets.reading.video_reader import VideoReader
from slowfast.errors import UserError
from tests.videos import decode_all, number_of, truncate, write_video

SETTINGS = Settings(short_side=32, gop=4, preset="ultrafast")


def numbers(path: Path) -> list[int]:
    return [number_of(frame) for frame in decode_all(path)[0]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A long, a short, a broken and a truncated video."""
    root = tmp_path / "sources"
    write_video(root / "a" / "long.mp4", 50, height=64, width=96, gop=50, first_number=100)
    write_video(root / "short.mkv", 3, first_number=7)
    (root / "broken.mp4").write_text("no video")
    truncate(write_video(root / "truncated.mp4", 60, gop=10, is_faststart=True), after_frames=40)
    return root


def test_a_result_has_the_frames_of_its_source(root: Path, tmp_path: Path):
    out = tmp_path / "out"
    outcomes = transcode_folder(root, out, SETTINGS)
    assert [(outcome.source, bool(outcome.cause)) for outcome in outcomes] == [
        ("a/long.mp4", False),
        ("broken.mp4", True),
        ("short.mkv", False),
        ("truncated.mp4", True),
    ]
    assert numbers(out / "a" / "long.mp4") == list(range(100, 150)) and numbers(out / "short.mp4") == [7, 8, 9]
    frames, kinds = decode_all(out / "a" / "long.mp4")
    assert frames.shape[1:] == (32, 48, 3)
    assert [idx for idx, kind in enumerate(kinds) if kind == "I"] == list(range(0, 50, 4))
    assert outcomes[0].source_bytes == (root / "a" / "long.mp4").stat().st_size
    assert outcomes[0].target_bytes == (out / "a" / "long.mp4").stat().st_size


def test_relative_names_with_a_colon_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_video(tmp_path / "a:b" / "12:30.mp4", 5, first_number=20)
    monkeypatch.chdir(tmp_path)
    (outcome,) = transcode_folder(Path("a:b"), Path("c:d"), SETTINGS)
    assert outcome.cause == "" and numbers(tmp_path / "c:d" / "12:30.mp4") == list(range(20, 25))


def test_what_is_no_video_by_its_name_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write_video(tmp_path / "in" / "a.mp4", 2)
    (tmp_path / "in" / "b.mpg4").touch()
    transcode_folder(tmp_path / "in", tmp_path / "out", SETTINGS)
    assert [record.getMessage() for record in caplog.records] == [f"{tmp_path}/in: left out: 1 .mpg4"]


def test_failures_are_written_and_leave_nothing_behind(root: Path, tmp_path: Path):
    out = tmp_path / "out"
    transcode_folder(root, out, SETTINGS)
    rows = list(csv.reader((out / "failed.csv").read_text().splitlines()))
    assert rows[0] == ["path", "cause"] and [row[0] for row in rows[1:]] == ["broken.mp4", "truncated.mp4"]
    assert rows[2][1].startswith("is truncated: it has ")
    assert sorted(os.listdir(out)) == ["a", "failed.csv", "short.mp4", "transcode.json"]
    assert json.loads((out / "transcode.json").read_text())["gop"] == 4


@pytest.mark.slow
def test_another_run_makes_only_what_is_missing(root: Path, tmp_path: Path):
    out = tmp_path / "out"
    transcode_folder(root, out, SETTINGS)
    kept = (out / "short.mp4").stat().st_mtime_ns
    (out / "a" / "long.mp4").unlink()
    write_video(root / "broken.mp4", 4)
    outcomes = transcode_folder(root, out, SETTINGS, num_workers=2)
    assert [outcome.source for outcome in outcomes if outcome.cause] == ["truncated.mp4"]
    assert (out / "short.mp4").stat().st_mtime_ns == kept
    assert numbers(out / "a" / "long.mp4") == list(range(100, 150)) and (out / "broken.mp4").exists()


def test_other_settings_need_another_folder_or_overwrite(root: Path, tmp_path: Path):
    out = tmp_path / "out"
    transcode_folder(root, out, SETTINGS)
    other = Settings(short_side=16, gop=2, preset="ultrafast")
    with pytest.raises(
        UserError, match=r"holds results of other settings, .*'gop': 4.*; choose another folder or --ov"
    ):
        transcode_folder(root, out, other)
    transcode_folder(root, out, other, overwrite=True)
    assert decode_all(out / "a" / "long.mp4")[0].shape[1:] == (16, 24, 3)


@pytest.mark.parametrize("damage", ["wrong frames", "too few frames", "crash of the encoder", "unreadable result"])
def test_a_good_file_is_never_replaced_by_a_bad_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str):
    source = write_video(tmp_path / "source.mp4", 20, first_number=4000)
    target = tmp_path / "out" / "target.mp4"
    assert transcode_video((str(source), str(target)), settings=SETTINGS) == ""
    good, encode = target.read_bytes(), transcode._encode

    def damaged_encode(source: Path, target: Path, settings: Settings) -> list[np.ndarray]:
        if damage == "crash of the encoder":
            target.write_bytes(b"half a file")
            raise OSError(5, "Input/output error")
        thumbnails = encode(source, target, settings)
        if damage == "wrong frames":
            return thumbnails[1:] + thumbnails[:1]
        if damage == "too few frames":
            return [*thumbnails, thumbnails[-1]]
        target.write_bytes(target.read_bytes()[: target.stat().st_size // 2])
        return thumbnails

    monkeypatch.setattr(transcode, "_encode", damaged_encode)
    cause = transcode_video((str(source), str(target)), settings=SETTINGS)
    assert cause != ""
    assert {
        "wrong frames": "of the result differs from the source",
        "too few frames": "only 21 of 20 frames",
        "crash of the encoder": "Input/output error",
        "unreadable result": "",
    }[damage] in cause
    assert target.read_bytes() == good
    assert os.listdir(target.parent) == ["target.mp4"]


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((340, 256), 128, (170, 128)),
        ((1920, 1080), 320, (568, 320)),
        ((1080, 1920), 320, (320, 568)),
        ((340, 256), 320, (340, 256)),  # not enlarged
        ((341, 255), 320, (340, 256)),  # even
        ((3000, 17), 16, (2824, 16)),
        ((4000, 1), 16, (4000, 2)),
    ],
)
def test_the_short_side_shrinks_and_sides_are_even(size: tuple[int, int], short_side: int, expected: tuple[int, int]):
    assert scaled_size(*size, short_side) == expected


@Rational.register
class OwnRational:
    """Has what PyAV 19's own type has of a Fraction."""

    def __init__(self, numerator: int, denominator: int) -> None:
        self.numerator, self.denominator = numerator, denominator

    def __bool__(self) -> bool:
        return self.numerator != 0 != self.denominator


@pytest.mark.parametrize("kind", [Fraction, OwnRational])
def test_the_frame_rate_is_a_fraction_whatever_type_pyav_gives(kind: type):
    assert frame_rate(kind(30000, 1001)) == Fraction(30000, 1001)
    assert frame_rate(kind(1_000_000, 33_333_333)) == Fraction(1_000_000, 33_333_333).limit_denominator(65535)
    assert frame_rate(kind(0, 1)) == frame_rate(None) == 25


def test_a_frame_rate_of_none_over_zero_is_unknown():
    assert frame_rate(OwnRational(1, 0)) == 25


def test_variable_frame_rates_and_odd_sizes_become_constant_and_even(tmp_path: Path):
    source, target = tmp_path / "source.mkv", tmp_path / "target.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 43, 37, "yuv444p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for idx, pts in enumerate((0, 40, 50, 400, 1000)):
            image = np.full((37, 43, 3), 40 * idx, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert transcode_video((str(source), str(target)), settings=SETTINGS) == ""
    frames = decode_all(target)[0]
    assert frames.shape == (5, 32, 38, 3)
    assert np.abs(frames.mean(axis=(1, 2, 3)) - 40 * np.arange(5)).max() < 4


def test_interlaced_sources_are_compared_as_whole_frames(tmp_path: Path):
    """Whose two fields differ, as where something moves."""
    source, target = tmp_path / "source.mkv", tmp_path / "target.mp4"
    image = np.full((32, 48, 3), 60, np.uint8)
    image[1::2] = 190
    with av.open(str(source), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"flags": "+ildct+ilme", "qscale": "2"})
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    with av.open(str(source)) as container:
        assert all(frame.interlaced_frame for frame in container.decode(video=0))
    assert transcode_video((str(source), str(target)), settings=SETTINGS) == ""
    with VideoReader(target) as video:
        assert video.num_frames == 3


def test_folders_that_do_not_go_together_are_refused(root: Path, tmp_path: Path):
    with pytest.raises(UserError, match="lies in the folder of the sources"):
        transcode_folder(root, root / "out", SETTINGS)
    with pytest.raises(UserError, match="lies in the folder of the sources"):
        transcode_folder(root, root, SETTINGS)
    write_video(root / "short.avi", 3)
    with pytest.raises(UserError, match=r"short.avi and short.mkv would both become short.mp4; rename one"):
        transcode_folder(root, tmp_path / "out", SETTINGS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gop": 0}, "--gop 0; accepted: 1 to 1000"),
        ({"short_side": 8}, "--short-side 8; accepted: 16 to 8192"),
        ({"crf": 52}, "--crf 52; accepted: 0 to 51"),
        ({"preset": "warp"}, "--preset warp; accepted: ultrafast, superfast"),
    ],
)
def test_settings_out_of_range_are_refused(arguments: dict, message: str):
    with pytest.raises(UserError, match=message):
        Settings(**arguments)


def test_the_speed_up_is_measured_on_videos_that_are_there(root: Path, tmp_path: Path):
    outcomes = transcode_folder(root, tmp_path / "out", SETTINGS)
    speed_up = measure_speed_up(root, tmp_path / "out", outcomes, num_videos=5, num_frames=4)
    assert speed_up.num_videos == 2 and speed_up.num_frames == 4
    assert speed_up.source_s > 0 and speed_up.target_s > 0 and speed_up.ratio > 0
    with VideoReader(tmp_path / "out" / "short.mp4") as video:
        assert video.num_frames == 3
