"""Launches that cannot work: one line before any work, and what else there is."""

import re

import pytest
import torch

from slowfast.config import load_config
from tests.launch.refused_launch import error_of_launch, set_task

TOO_MANY = torch.cuda.device_count() + 1
MISTAKES = [
    (
        ["NUM_GPUS", TOO_MANY, "TRAIN.BATCH_SIZE", 8 * TOO_MANY, "TEST.BATCH_SIZE", 8 * TOO_MANY],
        {},
        f"NUM_GPUS {TOO_MANY}, but this machine has {TOO_MANY - 1}; set NUM_GPUS to at most {TOO_MANY - 1}",
    ),
    (["NUM_SHARDS", 2], {}, r"NUM_SHARDS 2, but this would start one node alone; .*--init_method tcp://HOST:PORT"),
    (["NUM_SHARDS", 2], {"shard_id": 2, "init_method": "tcp://a:1"}, r"--shard_id 2 is outside \[0, NUM_SHARDS 2\)"),
    (["NUM_SHARDS", 2], {"shard_id": -1, "init_method": "tcp://a:1"}, r"--shard_id -1 is outside \[0, NUM_SHARDS 2\)"),
    (["NUM_SHARDS", 2], {"init_method": "10.0.0.1:29500"}, r"--init_method 10.0.0.1:29500 is no .*tcp://HOST:PORT"),
    ([], {"shard_id": 1}, r"--shard_id 1 is outside \[0, NUM_SHARDS 1\)"),
]


@pytest.mark.parametrize(("overrides", "arguments", "message"), MISTAKES)
def test_a_launch_that_cannot_work_is_refused(
    overrides: list, arguments: dict, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    cfg = load_config(None, ["NUM_GPUS", 0, *overrides])
    assert re.match(message, error_of_launch(cfg, capsys, **arguments))


@pytest.mark.parametrize(
    ("overrides", "effect"),
    [
        (
            ["SOLVER.BASE_LR", 1e-4, "SOLVER.BASE_LR_SCALE_NUM_SHARDS", True],
            "32 instead of 128 videos (SOLVER.ACCUM_STEPS 4 keeps it) and a learning rate of 0.0001 instead of 0.0004",
        ),
        (
            ["SOLVER.BASE_LR", 1.5e-6],
            "32 instead of 128 videos (SOLVER.ACCUM_STEPS 4 keeps it) and the same learning rate 1.5e-06",
        ),
        (
            ["SOLVER.ACCUM_STEPS", 2, "SOLVER.BASE_LR", 2e-6],
            "64 instead of 256 videos (SOLVER.ACCUM_STEPS 8 keeps it) and the same learning rate 2e-06",
        ),
        (["TRAIN.ENABLE", False], None),
    ],
)
@pytest.mark.parametrize("is_shell_on_a_node", [False, True])
def test_one_node_of_several_is_told_what_it_would_change_alone(
    overrides: list,
    effect: str | None,
    is_shell_on_a_node: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    if is_shell_on_a_node:
        set_task(monkeypatch, STEP_NUM_TASKS=1, STEP_TASKS_PER_NODE=1, NTASKS=1)
    cfg = load_config(None, ["NUM_GPUS", 0, "NUM_SHARDS", 4, "TRAIN.BATCH_SIZE", 32, *overrides])
    assert error_of_launch(cfg, capsys) == (
        "NUM_SHARDS 4, but this would start one node alone; tools/submit.py (for a script of exp/ PARTITION=NAME) "
        "submits to SLURM; --init_method tcp://HOST:PORT with --shard_id 0 to 3 (INIT_METHOD, SHARD_ID), torchrun or "
        "srun start each node; NUM_SHARDS 1 (NUM_SHARDS=1) takes this node alone"
        + (f", with an effective batch of {effect}" if effect else "")
    )


@pytest.mark.parametrize(
    ("overrides", "local_size", "size", "message"),
    [
        ([], 2, 4, r"torchrun started 2 nodes, but NUM_SHARDS is 1; make them equal"),
        (["NUM_SHARDS", 2], 2, 2, r"torchrun started 1 nodes, but NUM_SHARDS is 2; make them equal"),
        (["NUM_GPUS", 4], 2, 2, r"torchrun started 2 processes on this node, but NUM_GPUS is 4; make them equal"),
        (
            ["NUM_GPUS", TOO_MANY, "TRAIN.BATCH_SIZE", 8 * TOO_MANY, "TEST.BATCH_SIZE", 8 * TOO_MANY],
            TOO_MANY,
            TOO_MANY,
            f"NUM_GPUS {TOO_MANY}, but this machine has {TOO_MANY - 1}",
        ),
    ],
)
def test_a_launch_that_is_not_torchruns_is_refused(
    overrides: list,
    local_size: int,
    size: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    ranks = {"LOCAL_RANK": 0, "RANK": 0, "LOCAL_WORLD_SIZE": local_size, "WORLD_SIZE": size}
    for name, value in {**ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))
    cfg = load_config(None, ["NUM_GPUS", 0, *overrides])
    assert re.match(message, error_of_launch(cfg, capsys))
    monkeypatch.delenv("MASTER_PORT")
    expected = r"the environment has LOCAL_RANK and WORLD_SIZE, but not MASTER_PORT; torchrun sets them all"
    assert re.match(expected, error_of_launch(cfg, capsys))
