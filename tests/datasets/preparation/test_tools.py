"""The command lines of tools/prepare: help, what they print, and how they exit."""

import runpy
from pathlib import Path

import pytest

from slowfast.config import load_config
from slowfast.datasets import build_dataset
from slowfast.datasets.labels import load_label_list
from slowfast.datasets.records import Sample, SampleKey
from tests.datasets.preparation.official_files import kinetics_files
from tests.videos import write_list, write_video, write_video_set

TOOLS = Path(__file__).parents[3] / "tools" / "prepare"


def run(tool: str, *words: object) -> int:
    """Exit status of a tool."""
    main = runpy.run_path(str(TOOLS / f"{tool}.py"))["main"]
    try:
        main([str(word) for word in words])
    except SystemExit as exit:
        return exit.code or 0
    return 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["make_lists"], "ucf101"),
        (["make_lists", "kinetics"], "--official-test"),
        (["make_lists", "hmdb51"], "--frames"),
        (["make_lists", "folder"], "--val-share"),
        (["kinetics710"], "--held-out"),
        (["check_videos"], "--timeout-s"),
        (["transcode"], "--gop"),
        (["moving_digits"], "--variant"),
    ],
)
def test_help(words: list[str], says: str, capsys: pytest.CaptureFixture):
    assert run(*words, "--help") == 0
    assert says in capsys.readouterr().out


def test_from_class_folders_to_a_sample(tmp_path: Path, capsys: pytest.CaptureFixture):
    for name in ("wave", "clap"):
        for i in range(4):
            write_video(tmp_path / "videos" / name / f"{i}.mp4", 6)
    words = (tmp_path / "videos", tmp_path / "lists", "--val-share", 0.25, "--test-share", 0)
    assert run("make_lists", "folder", *words, "--workers", 2) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{tmp_path}/lists/train.csv: 6 rows"
    cfg = load_config(
        None,
        [
            *("DATA.PATH_TO_DATA_DIR", str(tmp_path / "lists"), "DATA.PATH_PREFIX", str(tmp_path / "videos")),
            *("DATA.PATH_LABEL_SEPARATOR", ",", "MODEL.NUM_CLASSES", 2, "TRAIN.DATASET", "kinetics_sparse"),
        ],
    )
    assert isinstance(build_dataset(cfg, "train")[SampleKey(0, 5)], Sample)


def test_official_lists_tell_what_was_dropped_and_where(tmp_path: Path, capsys: pytest.CaptureFixture):
    kinetics_files(tmp_path)
    words = ("kinetics", tmp_path / "media", tmp_path / "out", "--annotations", tmp_path / "official")
    assert run("make_lists", *words, "--classes", "kinetics400_alphabetical") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{tmp_path}/out/train.csv: 2 rows; dropped 2 (no file 1, repeated 1)"
    assert lines[-1] == f"what was dropped: {tmp_path}/out/missing.csv"
    assert run("make_lists", *words) == 2
    assert capsys.readouterr().err.startswith("error: kinetics: name the order of the classes with --classes")


def kinetics_lists(root: Path) -> None:
    for name, order, letters in (
        ("k400", "kinetics400_uniformer", {"train": "ab", "val": "c"}),
        ("k600", "kinetics600_uniformer", {"train": "acd", "val": "e"}),
    ):
        (root / name).mkdir()
        for split, ids in letters.items():
            write_list(root / name / f"{split}.csv", [(f"{name}/{letter * 11}.mp4", 0) for letter in ids])
        (root / name / "classes.txt").write_text("\n".join(load_label_list(order)) + "\n")


def test_kinetics710_prints_what_was_dropped_and_why(tmp_path: Path, capsys: pytest.CaptureFixture):
    kinetics_lists(tmp_path)
    words = ("--k400", tmp_path / "k400", "--k600", tmp_path / "k600", "--k600-prefix", "six hundred")
    assert run("kinetics710", tmp_path / "out", *words) == 0
    out = capsys.readouterr().out
    assert "train of k400: 2 rows, kept 2\n" in out
    assert (
        "train of k600: 3 rows, kept 1; dropped 1: same YouTube id as a row above, but another class; dropped 1" in out
    )
    paths = [line.rpartition(",")[0] for line in (tmp_path / "out" / "train.csv").read_text().splitlines()]
    assert paths == [f"k400/{'a' * 11}.mp4", f"k400/{'b' * 11}.mp4", f"six hundred/k600/{'d' * 11}.mp4"]


def test_check_reports_overlap_with_its_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture):
    kinetics_lists(tmp_path)
    train, other, val = (tmp_path / name for name in ("k400/train.csv", "k600/train.csv", "k600/val.csv"))
    assert run("kinetics710", "--check", train, other, val) == 1
    assert f"{train} and {other}: 1 YouTube ids in common: aaaaaaaaaaa\n" in capsys.readouterr().out
    assert run("kinetics710", "--check", train, val) == 0
    assert capsys.readouterr().out == f"{train} and {val}: 0 YouTube ids in common\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give OUT and at least one of --k400, --k600, --k700, or --check"),
        (["--check", "a.csv"], "--check takes at least two lists"),
        (["out", "--k400", "none"], "none/classes.txt: no list of class names"),
    ],
)
def test_kinetics710_mistakes(words: list[str], message: str, capsys: pytest.CaptureFixture):
    assert run("kinetics710", *words) == 2
    assert message in capsys.readouterr().err


def test_check_videos_exits_with_1_if_any_is_bad(tmp_path: Path, capsys: pytest.CaptureFixture):
    root = write_video_set(tmp_path / "set", num_train=3, num_val=1, num_test=1)
    keys = ("DATA.PATH_TO_DATA_DIR", root, "DATA.PATH_PREFIX", root, "DATA.PATH_LABEL_SEPARATOR", ",")
    words = ("--workers", 0, "--output", tmp_path / "bad.csv", *keys, "MODEL.NUM_CLASSES", 2)
    assert run("check_videos", *words) == 0
    assert capsys.readouterr().out.splitlines() == [
        "train: 3 videos, 0 of them bad",
        "val: 1 videos, 0 of them bad",
        "test: 1 videos, 0 of them bad",
    ]
    (root / "videos" / "train_1.mp4").write_text("no video")
    assert run("check_videos", *words) == 1
    out = capsys.readouterr().out
    assert "train: 3 videos, 1 of them bad\n" in out and f"{root}/videos/train_1.mp4: Invalid data" in out
    assert (tmp_path / "bad.csv").read_text().count("\n") == 2
    (root / "train.csv").write_text("videos/train_1.mp4\n")
    assert run("check_videos", *words) == 2
    assert "train.csv:1: expected 'path,label'" in capsys.readouterr().err


def test_transcode_reports_size_and_speed_up(tmp_path: Path, capsys: pytest.CaptureFixture):
    root = tmp_path / "videos"
    write_video(root / "a.mp4", 30, height=64, width=64)
    words = (root, tmp_path / "out", "--short-side", 32, "--gop", 4, "--workers", 0)
    assert run("transcode", *words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 of 1 videos are transcoded, 0 failed"
    assert lines[1].startswith("size: 0.0 MB before, 0.0 MB after, ")
    assert lines[2].startswith("reading 8 sparse frames: ") and "times as fast (medians over 1 videos" in lines[2]
    (root / "b.mp4").write_text("no video")
    assert run("transcode", *words, "--measure", 0) == 1
    out = capsys.readouterr().out
    assert "b.mp4: " in out and f"all failed ones: {tmp_path}/out/failed.csv" in out
    assert run("transcode", *words, "--gop", 9) == 2
    assert "holds results of other settings" in capsys.readouterr().err


@pytest.mark.parametrize("tool", ["check_videos", "transcode", "make_lists"])
def test_a_number_of_workers_is_no_less_than_0(tool: str, capsys: pytest.CaptureFixture):
    words = {"transcode": ["in", "out"], "make_lists": ["folder", "in", "out"], "check_videos": []}[tool]
    assert run(tool, *words, "--workers", -1) == 2
    assert "--workers: invalid worker_count value: '-1'" in capsys.readouterr().err
