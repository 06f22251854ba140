"""A test that was killed goes on with the batches it has scored, and leaves what an uninterrupted one leaves."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from slowfast.config import get_cfg
from slowfast.config.load import flatten
from slowfast.engine.resumed_test import WITHOUT_EFFECT
from tests.command_line import Outcome, run_commands, run_net, tiny_arguments
from tests.run_state import timeless_report
from tests.videos import truncate, write_list, write_video

# One video per batch, 6 views each; temporal probes, whose scores are kept, too.
SLICED = ["TRAIN.ENABLE", False, "TEST.BATCH_SIZE", 6, "TEST.PROBES", "[reversed, frozen]"]


@pytest.fixture(scope="module")
def odd_list(video_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a test list of nine videos: one is missing, and one ends early."""
    folder = tmp_path_factory.mktemp("odd list")
    cut = truncate(write_video(folder / "cut.mp4", 30, gop=10, is_faststart=True), 20)
    names = [f"videos/test_{i}.mp4" for i in range(6)]
    rows = [(name, i % 2) for i, name in enumerate([names[0], "videos/missing.mp4", str(cut), *names[1:], names[0]])]
    write_list(folder / "test.csv", rows)
    return folder


@pytest.fixture(scope="module")
def arguments(odd_list: Path, video_set: Path, finished_run: tuple[Path, Outcome]) -> list[object]:
    checkpoint = finished_run[0] / "checkpoints" / "checkpoint_last.pyth"
    keys = ["DATA.PATH_TO_DATA_DIR", odd_list, "TEST.CHECKPOINT_FILE_PATH", checkpoint, *SLICED]
    return tiny_arguments(video_set, Path("unused"), *keys)


def killed(arguments: list[object], output_dir: Path, *how: object, num_processes: int = 1) -> Outcome:
    """Start a test of which one process gets a signal: which, of which rank, after how many batches."""
    command = ["env", f"LOCAL_WORLD_SIZE={num_processes}", sys.executable, "-m", "tests.engine.killed_test_program"]
    (outcome,) = run_commands(
        [*command, *how, *arguments, "OUTPUT_DIR", output_dir], environment={"OMP_NUM_THREADS": "1"}
    )
    return outcome


def results(output_dir: Path) -> tuple[str, bytes]:
    """The report, but for how long the test took, and the predictions."""
    return json.dumps(timeless_report(output_dir)), (output_dir / "test" / "predictions.csv").read_bytes()


def kept_files(output_dir: Path) -> list[str]:
    return sorted(path.name for path in (output_dir / "test" / "partial").glob("*"))


@pytest.fixture(scope="module")
def whole(arguments: list[object], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    """The report and the predictions of a test that nothing interrupts."""
    output_dir = tmp_path_factory.mktemp("whole")
    outcome = run_net(*arguments, "OUTPUT_DIR", output_dir)
    assert outcome.error.startswith("1 of 9 test videos could not be read") and kept_files(output_dir) == []
    assert not (output_dir / "test" / "partial").exists()
    return results(output_dir)


@pytest.fixture(scope="module")
def after_kill(arguments: list[object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OUTPUT_DIR of a test that was killed after four of nine batches; tests copy it."""
    output_dir = tmp_path_factory.mktemp("killed")
    assert killed(arguments, output_dir, "SIGKILL", 0, 4).code == -9
    assert kept_files(output_dir) == ["rank_00000.scores"]
    return output_dir


@pytest.fixture
def output_dir(after_kill: Path, tmp_path: Path) -> Path:
    return shutil.copytree(after_kill, tmp_path / "run")


def test_a_killed_test_goes_on_to_the_same_bytes(whole: tuple[str, bytes], output_dir: Path, arguments: list[object]):
    outcome = run_net(*arguments, "OUTPUT_DIR", output_dir)
    assert "4 of 9 videos are scored already, before the test was cut off" in outcome.out
    assert outcome.error.startswith("1 of 9 test videos could not be read")
    assert results(output_dir) == whole
    assert not (output_dir / "test" / "partial").exists()


@pytest.mark.slow
def test_a_test_that_was_asked_to_stop_goes_on(whole: tuple[str, bytes], arguments: list[object], tmp_path: Path):
    outcome = killed(arguments, tmp_path, "SIGTERM", 0, 3)
    assert (outcome.code, outcome.err) == (0, "") and "stopped by SIGTERM" in outcome.out
    assert "3 of 9 videos are scored already" in run_net(*arguments, "OUTPUT_DIR", tmp_path).out
    assert results(tmp_path) == whole


def test_a_test_that_has_scored_all_only_writes(
    whole: tuple[str, bytes], output_dir: Path, arguments: list[object], monkeypatch: pytest.MonkeyPatch
):
    """As after a disk that was full at the end."""
    (output_dir / "test" / "report.json").mkdir()  # it cannot be written
    assert "report.json: cannot be written" in run_net(*arguments, "OUTPUT_DIR", output_dir).error
    (output_dir / "test" / "report.json").rmdir()
    monkeypatch.setattr("slowfast.engine.scoring.Scorer._score_batch", None)
    outcome = run_net(*arguments, "OUTPUT_DIR", output_dir)
    assert "9 of 9 videos are scored already" in outcome.out and results(output_dir) == whole


@pytest.mark.slow
def test_a_killed_test_of_two_processes_goes_on_to_the_same_bytes(arguments: list[object], tmp_path: Path):
    two, other = tmp_path / "two", tmp_path / "other"
    assert killed(arguments, two, "SIGKILL", 0, 100, num_processes=2).code == 1  # a video is missing
    assert killed(arguments, other, "SIGKILL", 1, 2, num_processes=2).code != 0
    assert kept_files(other) == ["rank_00000.scores", "rank_00001.scores"]
    assert not (other / "test" / "report.json").exists()
    alone = run_net(*arguments, "OUTPUT_DIR", other).error
    assert "another one: there are 1 processes and were 2; start that one again" in alone
    assert "videos are scored already" in killed(arguments, other, "SIGKILL", 0, 100, num_processes=2).out
    assert results(other) == results(two)
    assert not (other / "test" / "partial").exists()


def test_keys_without_effect_are_keys():
    assert {key for key, _ in flatten(get_cfg())} >= WITHOUT_EFFECT


OTHER_TESTS = {
    "views": (["TEST.NUM_ENSEMBLE_VIEWS", 1], "TEST.NUM_ENSEMBLE_VIEWS is 1 and was 2"),
    "crops": (["TEST.NUM_SPATIAL_CROPS", 1], "TEST.NUM_SPATIAL_CROPS is 1 and was 3"),
    "batches": (["TEST.BATCH_SIZE", 12], "TEST.BATCH_SIZE is 12 and was 6"),
    "precision": (
        ["TEST.MIXED_PRECISION", True, "TRAIN.MIXED_PRECISION_DTYPE", "bf16"],
        "precision is bfloat16 and was float32",
    ),
    "probes": (["TEST.PROBES", "[]"], "TEST.PROBES is [] and was ['reversed', 'frozen']"),
    "combined otherwise": (["DATA.ENSEMBLE_METHOD", "max"], "DATA.ENSEMBLE_METHOD is max and was sum"),
    "colours": (["DATA.CHANNEL_ORDER", "rgb", "DATA.MEAN", [0.5] * 3], "DATA.MEAN is [0.5, 0.5, 0.5] and was [0.45,"),
    "model": (["UNIFORMERV2.MLP_DROPOUT", [0.2]], "UNIFORMERV2.MLP_DROPOUT is [0.2] and was [0.1]"),
}


@pytest.mark.parametrize("name", OTHER_TESTS)
def test_scores_of_another_test_are_refused(name: str, output_dir: Path, arguments: list[object]):
    overrides, told = OTHER_TESTS[name]
    before = {path: path.read_bytes() for path in output_dir.rglob("*") if path.is_file() and path.suffix != ".lock"}
    error = run_net(*arguments, "OUTPUT_DIR", output_dir, *overrides).error
    assert error.startswith(f"{output_dir}/test/partial: a test was cut off here, and its scores are of another one: ")
    assert told in error
    assert error.endswith(
        "; start that one again to finish it, choose another OUTPUT_DIR, or drop its scores with TEST.AUTO_RESUME False"
    )
    assert {path: path.read_bytes() for path in before} == before, "what was there stays"


def test_scores_of_other_weights_are_refused(output_dir: Path, arguments: list[object], tmp_path: Path):
    old = Path(arguments[arguments.index("TEST.CHECKPOINT_FILE_PATH") + 1])
    content = torch.load(old, weights_only=True)
    del content["tensor_hashes"]
    next(iter(content["model_state"].values())).flatten()[0] += 1e-3
    new = tmp_path / "new.pyth"
    torch.save(content, new)
    error = run_net(*arguments, "OUTPUT_DIR", output_dir, "TEST.CHECKPOINT_FILE_PATH", new).error
    assert f"another one: the weights are of {new} and were of {old}; start" in error


def test_the_same_weights_elsewhere_are_the_same(
    whole: tuple[str, bytes], output_dir: Path, arguments: list[object], tmp_path: Path
):
    old = Path(arguments[arguments.index("TEST.CHECKPOINT_FILE_PATH") + 1])
    new = shutil.copy(old, tmp_path / "copy.pyth")
    outcome = run_net(*arguments, "OUTPUT_DIR", output_dir, "TEST.CHECKPOINT_FILE_PATH", new, "LOG_PERIOD", 7)
    assert "4 of 9 videos are scored already" in outcome.out and results(output_dir)[1] == whole[1]


def test_scores_of_another_list_are_refused(output_dir: Path, arguments: list[object], odd_list: Path, tmp_path: Path):
    lines = (odd_list / "test.csv").read_text().splitlines()
    lists = {"labels": [lines[0][:-1] + "1", *lines[1:]], "order": [lines[1], lines[0], *lines[2:]], "part": lines[:-1]}
    for name, changed in lists.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "test.csv").write_text("\n".join(changed) + "\n")
        error = run_net(*arguments, "OUTPUT_DIR", output_dir, "DATA.PATH_TO_DATA_DIR", tmp_path / name).error
        told = "the test list has other paths or labels" + (", it has 8 videos and had 9" if name == "part" else "")
        assert f"another one: {told}; start" in error


def test_a_test_begins_anew_where_that_is_asked_for(
    whole: tuple[str, bytes], output_dir: Path, arguments: list[object]
):
    outcome = run_net(*arguments, "OUTPUT_DIR", output_dir, "TEST.BATCH_SIZE", 12, "TEST.AUTO_RESUME", False)
    assert "scored already" not in outcome.out and "over 8 scored videos" in outcome.out
    assert not (output_dir / "test" / "partial").exists()


def test_what_a_finished_test_left_behind_refuses_nothing(output_dir: Path, arguments: list[object]):
    """It was killed between its report and the removal of what it had kept."""
    (output_dir / "test" / "report.json").write_text("{}")
    outcome = run_net(*arguments, "OUTPUT_DIR", output_dir, "TEST.BATCH_SIZE", 12)
    assert "scored already" not in outcome.out and "over 8 scored videos" in outcome.out
    assert not (output_dir / "test" / "partial").exists()


def test_the_test_of_a_training_is_not_refused(
    after_kill: Path, finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    """Nobody is there to be asked after days of training."""
    output_dir = shutil.copytree(finished_run[0], tmp_path / "run")
    shutil.rmtree(output_dir / "test")
    shutil.copytree(after_kill / "test", output_dir / "test")
    outcome = run_net(*tiny_arguments(video_set, output_dir))
    assert outcome.code == 0, outcome.err
    assert "test/partial: scores of another test are dropped: " in outcome.out and "over 6 scored videos" in outcome.out


def test_scores_of_another_machine_are_used_with_a_warning(
    whole: tuple[str, bytes], output_dir: Path, arguments: list[object], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("slowfast.engine.resumed_test._name_of", lambda device: "NVIDIA H100")
    outcome = run_net(*arguments, "OUTPUT_DIR", output_dir)
    assert "may differ in their last bits from the others: device is NVIDIA H100 and was cpu, 1 threads" in outcome.out
    assert results(output_dir) == whole
