"""A disk that is full, or may only be read: one line at every write, and earlier files as they were."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import Outcome, run_commands

pytestmark = pytest.mark.slow  # all share one program that makes the disks

FULL, READ_ONLY = "No space left on device", "Read-only file system"
# What is written, with so many pages left (see tests/engine/small_disks.py) -> the file that the error names.
CASES = {
    "train read-only": ("run", READ_ONLY),
    "train 0": ("run/run.lock", FULL),
    "train 1": ("run/config.yaml", FULL),
    "train 2": ("run/environment.json", FULL),
    "train 3": ("run/metrics.jsonl", FULL),
    "train 4": ("run/metrics.jsonl", FULL),
    "train 8": ("run/checkpoints/checkpoint_last.pyth", FULL),
    "train 40": ("run/checkpoints/checkpoint_last.pyth", FULL),
    "resume 0": ("run/run.lock", FULL),
    "resume 20": ("run/checkpoints/checkpoint_last.pyth", FULL),
    "test read-only": ("run/test", READ_ONLY),
    "test 0": ("run/test/run.lock", FULL),
    "test 3": ("run/test/predictions.csv", FULL),
    "test 5": ("run/test/report.json", FULL),
    "lists 0": ("run/train.csv", FULL),
    "lists read-only": ("run", READ_ONLY),
    "digits 3": ("run/videos/train/00001_", FULL),
    "digits read-only": ("run", READ_ONLY),
    "transcode 5": ("run/videos/test_", FULL),
    "check 0": ("run/bad.csv.checked.jsonl", FULL),
    "check 1": ("run/bad.csv", FULL),
    "convert 5": ("run.pyth", FULL),
    "submit 0": ("run/config_", FULL),
}


def may_mount() -> bool:
    if os.name != "posix" or os.getuid() != 0 or not (shutil.which("unshare") and shutil.which("mount")):
        return False
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def results(
    video_set: Path, finished_run: tuple[Path, Outcome], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict]:
    """What came of every case, by its name."""
    if not may_mount():
        pytest.skip("small disks are mounted by root, in a mount namespace of their own")
    names, folder = [*CASES, "tensorboard 0"], tmp_path_factory.mktemp("disks")
    words = ["-m", "tests.engine.small_disks", folder, video_set, finished_run[0], *names]
    (outcome,) = run_commands(["unshare", "--mount", sys.executable, *words], environment={"OMP_NUM_THREADS": "1"})
    assert outcome.code == 0, outcome.err
    return dict(zip(names, map(json.loads, outcome.out.splitlines()), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_written_is_one_line(case: str, results: dict[str, dict]):
    result, (file, cause) = results[case], CASES[case]
    errors = [line for line in result["err"].splitlines() if "error: " in line]
    assert result["code"] in (1, 2) and len(errors) == 1, result["err"]
    assert f"{case}/{file}" in errors[0] and cause in errors[0]
    assert "Traceback" not in result["err"] and "inline_container" not in result["err"]
    assert not [name for name in result["files"] if name.endswith((".tmp", "run.lock"))]


def test_earlier_files_are_whole(results: dict[str, dict]):
    untouched, resumed = results["resume 0"]["files"], results["resume 20"]["files"]
    assert untouched.keys() == resumed.keys() and len(untouched) >= 10
    assert {name for name in untouched if untouched[name] != resumed[name]} <= {
        *("run/log.txt", "run/metrics.jsonl", "run/config.yaml", "run/environment.json")
    }
    for name in ("test 3", "test 5"):
        same = {file: value for file, value in results[name]["files"].items() if "checkpoints/" in file}
        assert same == {file: value for file, value in untouched.items() if "checkpoints/" in file}


def test_the_accuracy_is_told_where_the_report_cannot_be_written(results: dict[str, dict]):
    for case in ("test 3", "test 5"):
        assert "over 6 scored videos (6 expected, 0 failed)" in results[case]["out"]
        assert "the accuracy is in the log" in results[case]["err"]
    assert "run/test/predictions.csv" in results["test 5"]["files"]


def test_a_test_goes_on_where_its_scores_cannot_be_kept(results: dict[str, dict]):
    """What was kept until then stays, as the report could not be written either."""
    for case, number in {"test 3": 1, "test 5": 0}.items():
        assert results[case]["out"].count("scores are not kept from here on") == number
        assert "run/test/partial/rank_00000.scores" in results[case]["files"]


def test_a_log_that_cannot_be_written_is_said_once_and_goes_on_at_the_console(results: dict[str, dict]):
    result = results["train 3"]
    assert result["err"].count("log.txt: the log cannot be written: No space left on device") == 1
    assert "8 training videos" in result["out"]


def test_training_goes_on_without_tensorboard(results: dict[str, dict]):
    result = results["tensorboard 0"]
    assert result["code"] == 0 and result["err"] == ""
    assert result["out"].count("WARNING TensorBoard's files are not written from here on: No space left on device") == 1
    assert "checkpoint_epoch_00000.pyth" in result["out"]
