"""Names of files that are not UTF-8, and what else must not cost a result that took hours."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from slowfast.runtime import log
from tests.command_line import Outcome, run_commands, run_net, run_tool, tiny_arguments
from tests.run_state import metrics, report

ODD = b"caf\xe9 \x85\xff.mp4"


@pytest.fixture
def odd_set(video_set: Path, tmp_path: Path) -> Path:
    """The lists of the data set, each with a video and a missing one whose names are not UTF-8."""
    folder = tmp_path / "odd"
    folder.mkdir()
    shutil.copyfile(video_set / "videos" / "test_0.mp4", os.fsencode(folder) + b"/" + ODD)
    for split in ("train", "val", "test"):
        lines = (video_set / f"{split}.csv").read_bytes()
        missing = b"/gone \xfe.mp4,0\n" if split != "train" else b"/" + ODD + b",0\n"
        lines += os.fsencode(folder) + b"/" + ODD + b",1\n" + os.fsencode(folder) + missing
        (folder / f"{split}.csv").write_bytes(lines)
    return folder


def test_training_and_test_keep_names_that_are_not_utf8(odd_set: Path, video_set: Path, tmp_path: Path):
    """In an OUTPUT_DIR of such a name, too."""
    output_dir = tmp_path / os.fsdecode(b"out \xe9")
    overrides = ["DATA.PATH_TO_DATA_DIR", odd_set, "SOLVER.MAX_EPOCH", 1, "SOLVER.WARMUP_EPOCHS", 0.0]
    outcome = run_net(*tiny_arguments(video_set, output_dir, *overrides))
    assert outcome.error.startswith("1 of 8 test videos could not be read")
    assert "over 7 scored videos (8 expected, 1 failed)" in outcome.out and "gone \\udcfe.mp4" in outcome.out
    ((path, _),) = report(output_dir)["failures"]
    assert os.fsencode(path) == os.fsencode(odd_set) + b"/gone \xfe.mp4"
    rows = (output_dir / "test" / "predictions.csv").read_bytes()
    assert os.fsencode(odd_set) + b"/" + ODD + b",1," in rows
    assert b"/gone \xfe.mp4 could not be read" in (output_dir / "log.txt").read_bytes()
    assert metrics(output_dir, "val")[0]["failed"] == 1

    again = run_net("--cfg", output_dir / "config.yaml", "TRAIN.ENABLE", "False")
    assert again.error.startswith("1 of 8 test videos could not be read"), again.err


def test_lists_of_class_folders_keep_them(tmp_path: Path):
    root, out = tmp_path / "videos", tmp_path / "lists"
    for name in (b"class \xe9", b"other"):
        folder = os.path.join(os.fsencode(root), name)
        os.makedirs(folder)
        for i in range(10):
            with open(os.path.join(folder, b"%d " % i + ODD), "wb"):
                pass
    outcome = run_tool("prepare/make_lists", "folder", root, out)
    assert outcome.code == 0, outcome.err
    rows = [line for name in ("train", "val", "test") for line in (out / f"{name}.csv").read_bytes().splitlines()]
    assert len(rows) == 20 and b"class \xe9/0 " + ODD + b",0" in rows
    assert (out / "classes.txt").read_bytes() == b"class \xe9\nother\n"


@pytest.mark.slow
def test_bad_videos_are_named_by_their_bytes(odd_set: Path, video_set: Path, tmp_path: Path):
    """In a terminal that takes UTF-8 alone."""
    arguments = tiny_arguments(video_set, tmp_path / "unused", "DATA.PATH_TO_DATA_DIR", odd_set)
    words = ["--output", tmp_path / "bad.csv", "--workers", 0, "--splits", "test"]
    script = Path(__file__).parents[2] / "tools" / "prepare" / "check_videos.py"
    (outcome,) = run_commands(
        [sys.executable, script, *words, *arguments], environment={"PYTHONIOENCODING": "utf-8:strict"}
    )
    assert outcome.code == 1 and "gone \\udcfe.mp4: No such file" in outcome.out, outcome.err
    assert b"/gone \xfe.mp4,0,No such file" in (tmp_path / "bad.csv").read_bytes()


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), BrokenPipeError(32, "Broken pipe")])
def test_a_console_that_fails_costs_no_result(
    fault: OSError, finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*arguments: object, **keywords: object) -> None:
        raise fault

    monkeypatch.setattr(log.tqdm, "write", fail)
    output_dir = Path(shutil.copytree(finished_run[0], tmp_path / "run"))
    shutil.rmtree(output_dir / "test")
    outcome = run_net(*tiny_arguments(video_set, output_dir, "TRAIN.ENABLE", "False"))
    assert outcome.code == 0
    assert outcome.err == f"warning: standard output: the log cannot be written: {fault.strerror}\n"
    assert report(output_dir)["scored"] == 6
    assert "over 6 scored videos" in (output_dir / "log.txt").read_text().splitlines()[-2]
