"""Runs whose disk is full, or may only be read; in a mount namespace of its own (``unshare --mount``), as root.

python -m tests.engine.small_disks FOLDER VIDEO_SET FINISHED_RUN CASE ... prints one JSON object per case.
"""

import errno
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.command_line import Outcome, run_net, run_tool, tiny_arguments

PAGE = 4096
ONE_EPOCH = ["SOLVER.MAX_EPOCH", 1, "SOLVER.WARMUP_EPOCHS", 0.0, "TEST.ENABLE", "False"]


@contextmanager
def disk(folder: Path, size: str = "8m") -> Iterator[Path]:
    """A disk of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path, num_pages_left: int) -> None:
    """Leave so many pages of the folder's disk free."""
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(PAGE))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        file.truncate(max(file.tell() - num_pages_left * PAGE, 0))


def told(outcome: Outcome, folder: Path) -> dict:
    """What came of a run, and what is on its disk."""
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "filler"
    }
    return {"code": outcome.code, "out": outcome.out, "err": outcome.err, "files": files}


def run_case(case: str, root: Path, video_set: Path, finished_run: Path) -> dict:
    """Do what the first word says with as many pages left as the last one does."""
    what, _, number = case.rpartition(" ")
    output_dir = root / case / "run"
    with disk(output_dir / "tensorboard" if what == "tensorboard" else root / case) as folder:
        if what in ("test", "resume"):
            shutil.copytree(finished_run, output_dir)
        if what == "test":
            shutil.rmtree(output_dir / "test")
        if number == "read-only":
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        else:
            fill(folder, int(number))
        return told(_start(what, output_dir, root, video_set, finished_run), folder)


def _start(what: str, output_dir: Path, root: Path, video_set: Path, finished_run: Path) -> Outcome:
    net = {
        "train": ONE_EPOCH,
        "tensorboard": [*ONE_EPOCH, "TENSORBOARD.ENABLE", "True"],
        "test": ["TRAIN.ENABLE", "False"],
        "resume": ["SOLVER.MAX_EPOCH", 5, *ONE_EPOCH[2:]],
    }
    if what in net:
        return run_net(*tiny_arguments(video_set, output_dir, *net[what]))
    checkpoint = finished_run / "checkpoints" / "checkpoint_best.pyth"
    lists = tiny_arguments(video_set, root / "unused", "DATA.PATH_TO_DATA_DIR", video_set)
    classes = ["--source-classes", video_set / "classes.txt"]
    tools = {
        "lists": ["prepare/make_lists", "folder", root / "classes", output_dir],
        "digits": ["prepare/moving_digits", output_dir, "--num-train", 8, "--num-val", 8, "--num-test", 10],
        "transcode": ["prepare/transcode", video_set, output_dir, "--workers", 0],
        "check": ["prepare/check_videos", "--output", output_dir / "bad.csv", "--workers", 0, *lists],
        "convert": ["convert_weights", checkpoint, output_dir.with_suffix(".pyth"), "--to", "ours", *classes],
        "submit": ["submit", "--cluster", "local", "--job_dir", output_dir, *lists],
    }
    return run_tool(*tools[what])


def main(root: Path, video_set: Path, finished_run: Path, cases: list[str]) -> None:
    for name in ("one", "two"):
        folder = root / "classes" / name
        folder.mkdir(parents=True)
        for i in range(10):
            (folder / f"{i}.mp4").touch()
    for case in cases:
        print(json.dumps(run_case(case, root, video_set, finished_run)), flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), sys.argv[4:])
