"""Steps of training: accumulation, precision, EMA, divergence."""

import re
from pathlib import Path

import pytest
import torch

from slowfast.errors import UserError
from slowfast.runtime.compiler import check_compiler
from tests.command_line import run_net, tiny_arguments
from tests.run_state import checkpoint, metrics

ONE_EPOCH = ["SOLVER.MAX_EPOCH", 1, "SOLVER.WARMUP_EPOCHS", 0, "TEST.ENABLE", "False"]
# What makes a batch's gradient the mean of those of its parts: no draws, no BatchNorm.
WITHOUT_DRAWS = [
    "UNIFORMERV2.NO_LMHRA",
    "True",
    "UNIFORMERV2.MLP_DROPOUT",
    "[0.0]",
    "UNIFORMERV2.CLS_DROPOUT",
    0.0,
    "DATA.RANDOM_FLIP",
    "False",
]


def trained(video_set: Path, output_dir: Path, *overrides: object) -> dict:
    outcome = run_net(*tiny_arguments(video_set, output_dir, *ONE_EPOCH, *overrides))
    assert outcome.code == 0, outcome.err
    return checkpoint(output_dir, 0)


def largest_difference(one: dict, other: dict) -> float:
    states = one["model_state"], other["model_state"]
    parameters = [name for name in states[0] if "running" not in name and "num_batches" not in name]
    return max((states[0][name].double() - states[1][name].double()).abs().max().item() for name in parameters)


def test_accumulated_batches_are_one_large_batch(video_set: Path, tmp_path: Path):
    sgd = ["SOLVER.OPTIMIZING_METHOD", "sgd", "SOLVER.BASE_LR", 0.1, *WITHOUT_DRAWS]
    whole = trained(video_set, tmp_path / "whole", *sgd, "TRAIN.BATCH_SIZE", 4)
    parts = trained(video_set, tmp_path / "parts", *sgd, "TRAIN.BATCH_SIZE", 1, "SOLVER.ACCUM_STEPS", 4)
    lines = [metrics(tmp_path / name, "train") for name in ("whole", "parts")]
    assert [line["step"] for line in lines[1]] == [1, 2]
    for line, expected in zip(lines[1], lines[0], strict=True):
        assert line["loss"] == pytest.approx(expected["loss"], abs=1e-6)
        assert line["grad_norm"] == pytest.approx(expected["grad_norm"], rel=1e-4)
        assert line["top1"] == expected["top1"] and line["lr"] == expected["lr"]
    assert largest_difference(whole, parts) < 1e-6
    fewer = trained(video_set, tmp_path / "fewer", *sgd, "TRAIN.BATCH_SIZE", 1)
    assert largest_difference(whole, fewer) > 1e-4  # the comparison can tell


def test_the_plan_counts_accumulated_batches(video_set: Path, tmp_path: Path):
    overrides = [*ONE_EPOCH, "TRAIN.BATCH_SIZE", 2, "SOLVER.ACCUM_STEPS", 4, "AUG.ENABLE", "True", "AUG.NUM_SAMPLE", 2]
    outcome = run_net(*tiny_arguments(video_set, tmp_path, *overrides))
    assert (
        "effective batch of 16 clips: 2 videos on each of 1 nodes x 4 accumulated x 2 clips of each video; 1 processes"
        in outcome.out
    )
    assert "1 epochs of 1 steps" in outcome.out
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "none", "SOLVER.ACCUM_STEPS", 3))
    assert outcome.error == (
        "the training list has 8 videos, fewer than one step of 12; lower TRAIN.BATCH_SIZE or SOLVER.ACCUM_STEPS"
    )


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_half_precision_trains_like_float32(name: str, video_set: Path, tmp_path: Path):
    single = trained(video_set, tmp_path / "single", *WITHOUT_DRAWS)
    half = trained(video_set, tmp_path / "half", *WITHOUT_DRAWS, "TRAIN.MIXED_PRECISION_DTYPE", name)
    for line, expected in zip(*(metrics(tmp_path / n, "train") for n in ("half", "single")), strict=True):
        assert line["loss"] == pytest.approx(expected["loss"], rel=0.02) and line["loss"] != expected["loss"]
        assert line["grad_norm"] == pytest.approx(expected["grad_norm"], rel=0.1)  # not that of the scaled loss
    assert all(value.dtype is torch.float32 for value in half["model_state"].values() if value.is_floating_point())
    assert half["scaler_state"].get("scale") == (2.0**16 if name == "fp16" else None)
    assert single["scaler_state"] == {}


def test_float16_lowers_its_loss_scale_rather_than_stop(video_set: Path, tmp_path: Path):
    """A loss scale that is too large makes infinite gradients: the step is left out, the next one has half of it."""
    overrides = ["TRAIN.MIXED_PRECISION_DTYPE", "fp16", "SOLVER.BASE_LR", 1e-3, *WITHOUT_DRAWS]
    trained(video_set, tmp_path, *overrides)
    path = tmp_path / "checkpoints" / "checkpoint_epoch_00000.pyth"
    content = torch.load(path, weights_only=True)
    content["scaler_state"]["scale"] = 2.0**40
    torch.save(content, path)
    for name in ("last", "best"):
        (tmp_path / "checkpoints" / f"checkpoint_{name}.pyth").unlink()
    arguments = tiny_arguments(video_set, tmp_path, *ONE_EPOCH, *overrides, "SOLVER.MAX_EPOCH", 2)
    outcome = run_net(*arguments)
    assert outcome.code == 0, outcome.err
    after = checkpoint(tmp_path, 1)
    assert after["scaler_state"]["scale"] == 2.0**38  # resumed from the saved scale, halved in both steps
    assert largest_difference(content, after) == 0


@pytest.mark.slow
def test_a_run_may_be_tested_by_its_moving_average(video_set: Path, tmp_path: Path):
    overrides = ["MODEL.EMA_EPOCH", 0, "MODEL.EMA_DECAY", 0.5, "SOLVER.BASE_LR", 0.05]
    content = trained(video_set, tmp_path, *overrides)
    assert any(not torch.equal(content["ema_state"][name], value) for name, value in content["model_state"].items())
    scores = {}
    for is_ema in (False, True):
        arguments = tiny_arguments(video_set, tmp_path, "TRAIN.ENABLE", "False", "TEST.USE_EMA", is_ema)
        outcome = run_net(*arguments)
        assert outcome.code == 0, outcome.err
        scores[is_ema] = (tmp_path / "test" / "predictions.csv").read_text()
    assert scores[False] != scores[True]
    swapped = {**content, "model_state": content["ema_state"]}
    del swapped["tensor_hashes"]
    torch.save(swapped, tmp_path / "ema.pyth")
    path = ["TEST.CHECKPOINT_FILE_PATH", tmp_path / "ema.pyth"]
    assert run_net(*tiny_arguments(video_set, tmp_path, "TRAIN.ENABLE", "False", *path)).code == 0
    assert (tmp_path / "test" / "predictions.csv").read_text() == scores[True]
    torch.save({**content, "ema_state": None}, tmp_path / "none.pyth")
    path[1] = tmp_path / "none.pyth"
    outcome = run_net(*tiny_arguments(video_set, tmp_path, "TRAIN.ENABLE", "False", "TEST.USE_EMA", "True", *path))
    assert outcome.error == f"{path[1]}: holds no EMA of the weights; set TEST.USE_EMA to False"


@pytest.mark.slow
def test_a_compiled_model_trains_like_the_other(video_set: Path, tmp_path: Path):
    try:
        check_compiler("this test", torch.device("cpu"))
    except UserError as missing:
        pytest.skip(str(missing))
    plain = trained(video_set, tmp_path / "plain", *WITHOUT_DRAWS)
    compiled = trained(video_set, tmp_path / "compiled", *WITHOUT_DRAWS, "MODEL.COMPILE", "True")
    assert compiled["model_state"].keys() == plain["model_state"].keys()
    for line, expected in zip(*(metrics(tmp_path / n, "train") for n in ("compiled", "plain")), strict=True):
        assert line["loss"] == pytest.approx(expected["loss"], abs=1e-5)


def test_a_compiled_model_needs_a_compiler(video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *ONE_EPOCH, "MODEL.COMPILE", "True"))
    assert outcome.error.startswith("MODEL.COMPILE True needs a C++ compiler on the CPU, and no-such-compiler is not")
    assert not (tmp_path / "run").exists()


# Divergence


def test_a_loss_that_is_not_finite_names_step_and_videos_and_saves_nothing(video_set: Path, tmp_path: Path):
    """The first epoch is good; the second one's rate is so large that its second loss is not finite."""
    overrides = ["SOLVER.LR_POLICY", "steps_with_relative_lrs", "SOLVER.STEPS", "[0, 1]", "SOLVER.LRS", "[1.0, 1e34]"]
    overrides += ["SOLVER.WARMUP_EPOCHS", 0, "SOLVER.CLIP_GRADIENT", 0, "TRAIN.CHECKPOINT_SECONDS", 1e-6]
    outcome = run_net(*tiny_arguments(video_set, tmp_path, *overrides))
    found = re.fullmatch(
        r"the loss is (nan|inf) in epoch 2, step 2, on rank 0, with the videos (.*); checkpoints in "
        rf"{re.escape(str(tmp_path / 'checkpoints'))}, if any, are from before; lower SOLVER.BASE_LR or "
        r"SOLVER.CLIP_GRADIENT",
        outcome.error,
    )
    assert found, outcome.error
    paths = found[2].split(", ")
    assert len(paths) == 4 and {Path(path).parent for path in paths} == {video_set / "videos"}
    for path in (tmp_path / "checkpoints").iterdir():
        content = torch.load(path, weights_only=True)
        assert all(value.isfinite().all() for value in content["model_state"].values()), path
    last = torch.load(tmp_path / "checkpoints" / "checkpoint_last.pyth", weights_only=True)
    assert (last["epoch"], last["step"]) == (0, 0)
    assert not list(tmp_path.glob("checkpoints/*.tmp"))


def test_a_gradient_that_is_not_finite_stops_before_it_is_saved(video_set: Path, tmp_path: Path):
    """A finite loss may have an infinite gradient: a standard deviation this small makes the clips, and it, huge."""
    overrides = ["DATA.STD", "[1e-37, 1e-37, 1e-37]", *ONE_EPOCH, "TRAIN.BATCH_SIZE", 8]
    outcome = run_net(*tiny_arguments(video_set, tmp_path, *overrides))
    assert re.match(r"the (gradient's norm|loss) is (nan|inf) in epoch 1, step 1[,;]", outcome.error)
    assert not (tmp_path / "checkpoints").exists()


def test_float16_without_a_finite_gradient_is_told(video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("slowfast.engine.step.MIN_LOSS_SCALE", 2.0**17)
    outcome = run_net(*tiny_arguments(video_set, tmp_path, *ONE_EPOCH, "TRAIN.MIXED_PRECISION_DTYPE", "fp16"))
    assert re.match(
        r"no float16 gradient is finite: .* scale is down to 65536; set TRAIN.MIXED_PRECISION", outcome.error
    )


def test_a_moving_average_that_has_not_begun_is_not_saved(video_set: Path, tmp_path: Path):
    content = trained(video_set, tmp_path, "MODEL.EMA_EPOCH", 1)
    assert content["ema_state"] is None
    arguments = tiny_arguments(video_set, tmp_path, "TRAIN.ENABLE", "False", "TEST.USE_EMA", "True")
    assert run_net(*arguments).error.endswith("holds no EMA of the weights; set TEST.USE_EMA to False")
