"""A user's mistakes through the command line: one line that says what to do, and nothing half-written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.command_line import Outcome, run_net, tiny_arguments

TOO_MANY_GPUS = torch.cuda.device_count() + 1


def list_of(text: str, split: str = "train") -> Callable[[Path, Path], list]:
    """Overrides for the lists of the data set with another text in one of them."""

    def make(video_set: Path, folder: Path) -> list:
        for name in ("train", "val", "test"):
            original = (video_set / f"{name}.csv").read_text()
            (folder / f"{name}.csv").write_text(text if name == split else original)
        return ["DATA.PATH_TO_DATA_DIR", folder]

    return make


def file_of(content: bytes, *keys: str) -> Callable[[Path, Path], list]:
    """Overrides that give keys a file of the given content."""

    def make(video_set: Path, folder: Path) -> list:
        (folder / "file.pyth").write_bytes(content)
        return [word for key in keys for word in (key, folder / "file.pyth")]

    return make


def keys(*overrides: object) -> Callable[[Path, Path], list]:
    return lambda video_set, folder: list(overrides)


# What is wrong -> how to make it so (from the data set and an empty folder to overrides), and what the line says.
MISTAKES: dict[str, tuple[Callable[[Path, Path], list], list[str]]] = {
    "empty training list": (list_of(""), ["train.csv:1: the list is empty"]),
    "blank validation list": (list_of("\n\n", "val"), ["val.csv:1: the list is empty"]),
    "empty test list": (list_of("", "test"), ["test.csv:1: the list is empty"]),
    "label too large": (
        list_of("videos/train_0.mp4,0\nvideos/train_1.mp4,2\n"),
        ["train.csv:2: label 2 is outside [0, 2)", "MODEL.NUM_CLASSES"],
    ),
    "label that is a word": (list_of("videos/train_0.mp4,zero\n", "test"), ["test.csv:1: label 'zero'"]),
    "line without a label": (list_of("videos/train_0.mp4\n", "val"), ["val.csv:1: expected 'path,label'"]),
    "another separator": (list_of("videos/train_0.mp4 0\n"), ["train.csv:1", "DATA.PATH_LABEL_SEPARATOR ' '"]),
    "missing lists": (keys("DATA.PATH_TO_DATA_DIR", "/no/such/folder"), ["/no/such/folder/t", "no such list file"]),
    "name that is too long": (
        lambda video_set, folder: ["OUTPUT_DIR", folder / ("x" * 300)],
        ["OUTPUT_DIR", "cannot be made: File name too long"],
    ),
    "class folders, name that is too long": (
        keys("TRAIN.DATASET", "folder", "TEST.DATASET", "folder", "DATA.PATH_TO_DATA_DIR", "x" * 300),
        ["DATA.PATH_TO_DATA_DIR 'xxx", "cannot be read: File name too long"],
    ),
    "checkpoint, name that is too long": (
        keys("TRAIN.CHECKPOINT_FILE_PATH", "x" * 300),
        ["xxx: no such checkpoint file: File name too long"],
    ),
    "fewer videos than a batch": (keys("TRAIN.BATCH_SIZE", 9), ["8 videos, fewer than one step of 9"]),
    "unknown data set": (keys("TRAIN.DATASET", "kinetix"), ["TRAIN.DATASET is 'kinetix'; accepted:"]),
    "missing class names": (keys("DATA.CLASS_NAMES_FILE", "/no/names"), ["DATA.CLASS_NAMES_FILE /no/names"]),
    "missing checkpoint to train from": (
        keys("TRAIN.CHECKPOINT_FILE_PATH", "/no/weights.pyth"),
        ["/no/weights.pyth"],
    ),
    "checkpoint to train from that is none": (
        file_of(b"no checkpoint", "TRAIN.CHECKPOINT_FILE_PATH"),
        ["file.pyth"],
    ),
    "missing checkpoint to test": (
        keys("TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", "/no/weights.pyth"),
        ["/no/weights.pyth"],
    ),
    "checkpoint to test that is none": (
        lambda video_set, folder: [
            *file_of(b"", "TEST.CHECKPOINT_FILE_PATH")(video_set, folder),
            *("TRAIN.ENABLE", "False"),
        ],
        ["file.pyth"],
    ),
    "nothing to test": (keys("TRAIN.ENABLE", "False"), ["nothing to test", "TEST.CHECKPOINT_FILE_PATH"]),
    "missing CLIP weights": (
        keys("UNIFORMERV2.PRETRAIN", "", "MODEL.WEIGHTS_DIR", "/no/weights"),
        ["UNIFORMERV2.PRETRAIN"],
    ),
    "more GPUs than there are": (
        keys("NUM_GPUS", TOO_MANY_GPUS, "TRAIN.BATCH_SIZE", TOO_MANY_GPUS, "TEST.BATCH_SIZE", TOO_MANY_GPUS),
        [f"NUM_GPUS {TOO_MANY_GPUS}, but this machine has {TOO_MANY_GPUS - 1}"],
    ),
    "several nodes that cannot meet": (keys("NUM_SHARDS", 2), ["NUM_SHARDS 2", "--init_method"]),
    "several labels per video": (
        list_of("videos/train_0.mp4,0;1\n"),
        ["train.csv:1: label '0;1'", "several labels per video need DATA.MULTI_LABEL True"],
    ),
    "unknown key": (keys("SOLVER.BASE_RL", 1), ["unknown key SOLVER.BASE_RL", "SOLVER.BASE_LR"]),
    "value of another type": (keys("SOLVER.MAX_EPOCH", "many"), ["SOLVER.MAX_EPOCH"]),
    "values that do not go together": (keys("SOLVER.WARMUP_EPOCHS", 9), ["SOLVER.WARMUP_EPOCHS", "SOLVER.MAX_EPOCH"]),
}
CONFIG_MISTAKES = {"unknown key", "unknown data set", "value of another type", "values that do not go together"}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_one_line_before_anything_is_written(name: str, video_set: Path, tmp_path: Path):
    make, parts = MISTAKES[name]
    folder, output_dir = tmp_path / "input", tmp_path / "output"
    folder.mkdir()
    outcome = run_net(*tiny_arguments(video_set, output_dir, *make(video_set, folder)))
    assert all(part in outcome.error for part in parts), outcome.error
    assert outcome.code == (2 if name in CONFIG_MISTAKES else 1)
    assert not output_dir.exists()


@pytest.mark.parametrize("stage", ["to train from", "to test", "to resume from"])
def test_a_checkpoint_of_another_architecture_is_refused(
    stage: str, finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    path = finished_run[0] / "checkpoints" / "checkpoint_epoch_00003.pyth"
    output_dir = tmp_path / "output"
    overrides = ["UNIFORMERV2.LAYERS", 3, "UNIFORMERV2.RETURN_LIST", "[2]"]
    if stage == "to train from":
        overrides += ["TRAIN.CHECKPOINT_FILE_PATH", path]
    elif stage == "to test":
        overrides += ["TEST.CHECKPOINT_FILE_PATH", path, "TRAIN.ENABLE", "False"]
    else:
        (output_dir / "checkpoints").mkdir(parents=True)
        (output_dir / "checkpoints" / path.name).write_bytes(path.read_bytes())
    before = sorted(output_dir.rglob("*"))
    outcome = run_net(*tiny_arguments(video_set, output_dir, *overrides))
    assert "checkpoint_epoch_00003.pyth" in outcome.error and "missing" in outcome.error
    assert outcome.code == 1 and sorted(output_dir.rglob("*")) == before


def test_a_damaged_checkpoint_is_passed_over_for_an_older_one_and_stays(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    names = ["checkpoint_epoch_00001.pyth", "checkpoint_epoch_00002.pyth"]
    (tmp_path / "checkpoints").mkdir()
    for name in names:
        shutil.copy(finished_run[0] / "checkpoints" / name, tmp_path / "checkpoints")
    damaged = tmp_path / "checkpoints" / names[1]
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    half = damaged.read_bytes()
    outcome = run_net(*tiny_arguments(video_set, tmp_path, "SOLVER.MAX_EPOCH", 2, "TEST.ENABLE", "False"))
    assert outcome.code == 0, outcome.err
    assert f"WARNING {damaged} cannot be read and is left out: " in outcome.out
    assert f"resuming from {tmp_path / 'checkpoints' / names[0]}: 2 epochs and 0 steps done" in outcome.out
    assert damaged.read_bytes() == half


def test_weights_alone_are_not_gone_on_from(finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path):
    content = torch.load(finished_run[0] / "checkpoints" / "checkpoint_epoch_00001.pyth", weights_only=True)
    (tmp_path / "checkpoints").mkdir()
    torch.save({"model_state": content["model_state"]}, tmp_path / "checkpoints" / "checkpoint_epoch_00001.pyth")
    outcome = run_net(*tiny_arguments(video_set, tmp_path))
    assert "nothing to resume from" in outcome.error and "TRAIN.CHECKPOINT_FILE_PATH" in outcome.error


@pytest.mark.parametrize(
    "overrides", [["SOLVER.OPTIMIZING_METHOD", "sgd"], ["SOLVER.ZERO_WD_1D_PARAM", "True"]], ids=["kind", "groups"]
)
def test_another_optimizer_does_not_resume(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path, overrides: list[str]
):
    path = tmp_path / "checkpoints" / "checkpoint_epoch_00001.pyth"
    path.parent.mkdir()
    path.write_bytes((finished_run[0] / "checkpoints" / path.name).read_bytes())
    outcome = run_net(*tiny_arguments(video_set, tmp_path, *overrides))
    assert f"{path}: its optimizer does not fit SOLVER.*" in outcome.error
    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize("max_replaced", [0.0, 0.1])
def test_unreadable_training_videos_beyond_the_bound_end_the_run(video_set: Path, tmp_path: Path, max_replaced: float):
    list_of("videos/gone.mp4,0\n" + (video_set / "train.csv").read_text())(video_set, tmp_path)
    (tmp_path / "train.csv").write_text("".join(f"videos/gone {i}.mp4,0\n" for i in range(4)))
    with (tmp_path / "train.csv").open("a") as file:
        file.write((video_set / "train.csv").read_text())
    output_dir = tmp_path / "output"
    overrides = ["DATA.PATH_TO_DATA_DIR", tmp_path, "DATA_LOADER.MAX_REPLACED", max_replaced]
    outcome = run_net(*tiny_arguments(video_set, output_dir, *overrides))
    assert "of an epoch's 12 videos could not be read" in outcome.error
    assert f"DATA_LOADER.MAX_REPLACED {max_replaced:g}" in outcome.error and "videos/gone " in outcome.error
    # The run had begun, so that its log is there; a result is not.
    written = {path.name for path in output_dir.rglob("*")}
    assert written <= {"config.yaml", "environment.json", "log.txt", "metrics.jsonl"}


def test_a_training_list_without_a_readable_video_ends_the_run(video_set: Path, tmp_path: Path):
    overrides = ["DATA.PATH_PREFIX", tmp_path / "nowhere", "DATA_LOADER.MAX_REPLACED", 1.0]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "output", *overrides))
    assert "could not be read (No such file or directory), nor could the videos drawn in its place" in outcome.error
    assert "DATA.PATH_PREFIX" in outcome.error
    assert not (tmp_path / "output" / "checkpoints").exists()


def test_an_output_folder_that_cannot_be_made_is_refused(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    (tmp_path / "file").write_text("not a folder")
    checkpoint = finished_run[0] / "checkpoints" / "checkpoint_epoch_00003.pyth"
    for overrides in ([], ["TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", checkpoint]):
        outcome = run_net(*tiny_arguments(video_set, tmp_path / "file", *overrides))
        assert f"OUTPUT_DIR {tmp_path / 'file'}" in outcome.error
    assert (tmp_path / "file").read_text() == "not a folder"


def test_a_mistake_in_the_test_list_shows_before_training(video_set: Path, tmp_path: Path):
    list_of("videos/test_0.mp4,7\n", "test")(video_set, tmp_path)
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "output", "DATA.PATH_TO_DATA_DIR", tmp_path))
    assert "test.csv:1: label 7 is outside [0, 2)" in outcome.error and outcome.out == ""


def test_another_programs_checkpoint_is_not_resumed_from(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    """SlowFast and UniFormer name their files as ours."""
    content = torch.load(finished_run[0] / "checkpoints" / "checkpoint_epoch_00001.pyth", weights_only=True)
    theirs = {name: content[name] for name in ("epoch", "model_state", "optimizer_state")} | {"cfg": content["config"]}
    (tmp_path / "checkpoints").mkdir()
    torch.save(theirs, tmp_path / "checkpoints" / "checkpoint_epoch_00001.pyth")
    outcome = run_net(*tiny_arguments(video_set, tmp_path))
    assert "checkpoint_epoch_00001.pyth: lacks best_accuracy, so that there is nothing to resume from" in outcome.error
    assert "name it as TRAIN.CHECKPOINT_FILE_PATH with a new OUTPUT_DIR" in outcome.error


def test_a_nul_in_a_path_and_an_address_that_is_none(video_set: Path, tmp_path: Path):
    (tmp_path / "nul.yaml").write_text('OUTPUT_DIR: "a\\0b"\n')
    outcome = run_net("--cfg", tmp_path / "nul.yaml")
    assert "nul.yaml:1: OUTPUT_DIR has a NUL character, which no name has: 'a\\x00b'" in outcome.error
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "output", "TRAIN.CHECKPOINT_FILE_PATH", "http://["))
    assert "http://[: cannot be downloaded: Invalid IPv6 URL" in outcome.error
