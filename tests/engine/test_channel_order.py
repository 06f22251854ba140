"""The order of the colour channels travels with a checkpoint: tests and resumed runs want it, new runs choose it."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml

from tests.command_line import run_net, run_tool, tiny_arguments

BGR, RGB = ["DATA.CHANNEL_ORDER", "bgr"], ["DATA.CHANNEL_ORDER", "rgb"]
TEST_ONLY = ["TRAIN.ENABLE", "False"]


@pytest.fixture(scope="module")
def bgr_run(video_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output_dir = tmp_path_factory.mktemp("bgr") / "run"
    once = ["SOLVER.MAX_EPOCH", 1, "TEST.ENABLE", "False"]
    outcome = run_net(*tiny_arguments(video_set, output_dir, *BGR, *once))
    assert outcome.code == 0, outcome.err
    return output_dir


def newest(output_dir: Path) -> Path:
    return output_dir / "checkpoints" / "checkpoint_epoch_00000.pyth"


def refused(path: Path, theirs: str, ours: str) -> str:
    told = theirs if theirs == "bgr" else "rgb, as all weights from before this key"
    return (
        f"{path}: was trained with DATA.CHANNEL_ORDER {told}, and here it is {ours}; set DATA.CHANNEL_ORDER {theirs}, "
        f"or give other weights"
    )


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [TEST_ONLY, ["SOLVER.MAX_EPOCH", 2]], ids=["test", "resume"])
def test_another_order_is_refused_before_anything_is_written(
    overrides: list, bgr_run: Path, video_set: Path, tmp_path: Path
):
    output_dir = shutil.copytree(bgr_run, tmp_path / "run")
    before = {path: path.read_bytes() for path in output_dir.rglob("*") if path.is_file()}
    for order in (RGB, []):  # rgb is the default
        outcome = run_net(*tiny_arguments(video_set, output_dir, *order, *overrides))
        assert outcome.error == refused(newest(output_dir), "bgr", "rgb")
    assert {path: path.read_bytes() for path in output_dir.rglob("*") if path.is_file()} == before
    outcome = run_net(*tiny_arguments(video_set, output_dir, *BGR, *overrides))
    assert outcome.code == 0, outcome.err


def test_our_weights_from_before_the_key_are_rgb(bgr_run: Path, video_set: Path, tmp_path: Path):
    output_dir = shutil.copytree(bgr_run, tmp_path / "run")
    content = torch.load(newest(output_dir), weights_only=True)
    config = yaml.safe_load(content["config"])
    del config["DATA"]["CHANNEL_ORDER"]
    for path in (output_dir / "checkpoints").iterdir():
        torch.save({**content, "config": yaml.safe_dump(config)}, path)
    for overrides in (TEST_ONLY, ["SOLVER.MAX_EPOCH", 2]):
        outcome = run_net(*tiny_arguments(video_set, output_dir, *BGR, *overrides))
        assert outcome.error == refused(newest(output_dir), "rgb", "bgr")
    outcome = run_net(*tiny_arguments(video_set, output_dir, *TEST_ONLY))
    assert outcome.code == 0, outcome.err


def test_a_run_may_start_from_weights_of_another_order(bgr_run: Path, video_set: Path, tmp_path: Path):
    """The published runs on Something-Something, in BGR, start from Kinetics weights, in RGB."""
    overrides = ["TRAIN.CHECKPOINT_FILE_PATH", newest(bgr_run), "SOLVER.MAX_EPOCH", 1]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *RGB, *overrides))
    assert outcome.code == 0, outcome.err
    # But whoever tests these weights as they are gets no other order.
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "new", *RGB, *TEST_ONLY, *overrides))
    assert outcome.error == refused(newest(bgr_run), "bgr", "rgb")


def test_authors_weights_on_another_order_than_theirs_make_a_warning(bgr_run: Path, video_set: Path, tmp_path: Path):
    """A public file of Something-Something or HMDB51 does not say it, and neither does a config from elsewhere."""
    weights = tmp_path / "authors.pyth"
    torch.save({"model_state": torch.load(newest(bgr_run), weights_only=True)["model_state"]}, weights)
    named = ["TEST.CHECKPOINT_FILE_PATH", weights, "MODEL.CHECKPOINT_CLASS_ORDER", "same"]
    told = (
        f"WARNING {weights}: the authors' weights for HMDB_Video were trained on channels in the order bgr, and "
        f"DATA.CHANNEL_ORDER is rgb"
    )
    for dataset, order, is_told in (
        ("HMDB_Video", RGB, True),
        ("HMDB_Video", BGR, False),
        ("kinetics_sparse", RGB, False),
    ):
        arguments = [*TEST_ONLY, *named, *order, "TEST.DATASET", dataset]
        outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *arguments))
        assert outcome.code == 0, outcome.err
        assert (told in outcome.out) == is_told and ("in the order" in outcome.out) == is_told


def test_converted_weights_keep_it_and_those_of_others_have_none(bgr_run: Path, video_set: Path, tmp_path: Path):
    ours = tmp_path / "ours.safetensors"
    classes = tmp_path / "classes.txt"
    classes.write_text("a\nb\n")
    arguments = [newest(bgr_run), ours, "--to", "ours", "--source-classes", classes]
    outcome = run_tool("convert_weights", *arguments)
    assert outcome.code == 0, outcome.err
    named = ["TEST.CHECKPOINT_FILE_PATH", ours, "DATA.CLASS_NAMES_FILE", classes]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *RGB, *TEST_ONLY, *named))
    assert outcome.error == refused(ours, "bgr", "rgb")
    foreign = tmp_path / "foreign.pyth"
    torch.save({"model_state": torch.load(newest(bgr_run), weights_only=True)["model_state"]}, foreign)
    named = ["TEST.CHECKPOINT_FILE_PATH", foreign, "MODEL.CHECKPOINT_CLASS_ORDER", "same"]
    for order in (RGB, BGR):
        outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *order, *TEST_ONLY, *named))
        assert outcome.code == 0, outcome.err
