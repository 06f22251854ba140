"""A test of a file that has the name of a published checkpoint tells the published figure; so does tools/verify.py."""

from pathlib import Path

import pytest
import torch

from slowfast.models import build_model
from tests.command_line import run_net, run_tool, tiny_arguments, tiny_config
from tests.run_state import report
from tests.videos import write_list

KINETICS = ["MODEL.NUM_CLASSES", 400, "DATA.CLASS_NAMES_FILE", "kinetics400_uniformer"]


@pytest.fixture
def weights(video_set: Path, tmp_path: Path) -> Path:
    """Of the authors' layout for 400 classes, with random values and a published name."""
    path = tmp_path / "k400_k710_uniformerv2_b16_8x224.pyth"
    model = build_model(tiny_config(video_set, tmp_path, *KINETICS))
    torch.save({"model_state": model.state_dict()}, path)
    return path


def test_the_published_figure_stands_beside_the_measured_one(weights: Path, video_set: Path, tmp_path: Path):
    named = [*KINETICS, "TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", weights]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *named))
    assert outcome.code == 0, outcome.err
    top1, (low, high) = report(tmp_path / "run")["top1"], report(tmp_path / "run")["intervals"]["top1"]
    told = (
        f"UniFormerV2-B/16 on Kinetics-400, by its authors, known by name alone: published 85.6, measured {top1:.1f} "
        f"({top1 - 85.6:+.1f}; 95 % of such tests: {low:.1f} to {high:.1f}); differs: 19,781 of 19,787 videos missing, "
        f"2 x 3 views in place of 4 x 3 views, 2 frames (sparse) in place of 8 frames (sparse), 16 px in place of 224 "
        f"px; videos, rgb, sum of probabilities, float32 as published"
    )
    assert f"INFO {told}\n" in outcome.out

    verified = run_tool("verify", tmp_path / "run")
    assert (verified.code, verified.out, verified.err) == (0, f"{told}\n", "")
    setting = report(tmp_path / "run")["setting"]
    assert setting["checkpoint"] == str(weights) and setting["class_order"].endswith("the order kinetics400_uniformer")


def test_videos_that_could_not_be_read_are_among_what_differs(weights: Path, video_set: Path, tmp_path: Path):
    rows = [(f"{video_set}/videos/test_0.mp4", 0), ("missing.mp4", 1)]
    write_list(tmp_path / "test.csv", rows)
    named = [*KINETICS, "TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", weights]
    arguments = tiny_arguments(video_set, tmp_path / "run", *named, "DATA.PATH_TO_DATA_DIR", tmp_path)
    assert "1 of 2 test videos could not be read" in run_net(*arguments).error
    assert (
        "; differs: 19,785 of 19,787 videos missing, 1 of 2 unreadable, 2 x 3"
        in run_tool("verify", tmp_path / "run").out
    )


def test_another_data_set_is_not_compared(weights: Path, video_set: Path, tmp_path: Path):
    overrides = ["TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", weights]
    order = ["MODEL.NUM_CLASSES", 400, "MODEL.CHECKPOINT_CLASS_ORDER", "same"]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides, *order))
    told = f"{weights}: its published figure is of Kinetics-400, and this test of another data set"
    assert outcome.code == 0 and f"INFO {told}" in outcome.out
    assert run_tool("verify", tmp_path / "run").error.startswith(told)


def test_a_run_of_ones_own_has_no_published_figure(finished_run, tmp_path: Path):
    output_dir, outcome = finished_run
    assert "published" not in outcome.out
    checkpoint = output_dir / "checkpoints" / "checkpoint_epoch_00003.pyth"
    error = run_tool("verify", output_dir).error
    assert error.startswith(f"{checkpoint}: is no published checkpoint by its name; the nearest are ")
    assert run_tool("verify", tmp_path).error.startswith(f"{tmp_path}: has no report of a test")
