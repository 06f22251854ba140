"""One entry for one process, several, several nodes and torchrun: the same result, and errors before any work."""

import os
import re
import shutil
import signal
import socket
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from fvcore.common.config import CfgNode

from slowfast.config import load_config
from slowfast.errors import UserError
from slowfast.launch import process_group
from slowfast.launch.launch import launch
from slowfast.launch.process_group import Group, group_of_srun, open_store
from slowfast.runtime import distributed
from slowfast.runtime.interruption import Interrupted, raise_if_stopped, stop_signals_noted
from tests.command_line import RUN_NET, run_commands, run_net, tiny_arguments
from tests.free_port import free_port
from tests.run_state import predictions, report


def trained_weights(output_dir: Path) -> dict[str, torch.Tensor]:
    path = output_dir / "checkpoints" / "checkpoint_epoch_00001.pyth"
    return torch.load(path, weights_only=True)["model_state"]


# Several processes


@pytest.mark.slow
def test_two_processes_train_as_one_and_score_every_video_once(video_set: Path, tmp_path: Path):
    """Under torchrun, with a validation list shorter than the processes are many, and an odd number of test videos."""
    (tmp_path / "lists").mkdir()
    for split, num_videos in {"train": 8, "val": 1, "test": 5}.items():
        lines = (video_set / f"{split}.csv").read_text().splitlines(keepends=True)
        (tmp_path / "lists" / f"{split}.csv").write_text("".join(lines[:num_videos]))
    # Without dropout and batch statistics, equal batches and averaged gradients give equal weights.
    overrides = ["UNIFORMERV2.MLP_DROPOUT", "[0.0]", "UNIFORMERV2.CLS_DROPOUT", 0, "UNIFORMERV2.NO_LMHRA", "True"]
    overrides += ["SOLVER.OPTIMIZING_METHOD", "sgd", "SOLVER.BASE_LR", 0.01, "SOLVER.MAX_EPOCH", 2]
    overrides += ["DATA.PATH_TO_DATA_DIR", tmp_path / "lists"]
    alone, together = (tiny_arguments(video_set, tmp_path / name, *overrides) for name in ("one", "two"))
    assert run_net(*alone).code == 0
    torchrun = ["-m", "torch.distributed.run", "--nproc_per_node", 2, "--master_port", free_port()]
    (outcome,) = run_commands([sys.executable, *torchrun, RUN_NET, *together])
    assert outcome.code == 0, outcome.err

    assert "effective batch of 4 clips: 4 videos on each of 1 nodes" in outcome.out
    assert "; 2 processes\n" in outcome.out and "2 epochs of 2 steps" in outcome.out
    expected = trained_weights(tmp_path / "one")
    for name, value in trained_weights(tmp_path / "two").items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6, msg=f"{name} differs")

    assert outcome.out.count("over 1 scored videos (1 expected, 0 failed)") == 2  # one process speaks, once an epoch
    assert outcome.out.count("over 5 scored videos (5 expected, 0 failed)") == 1
    assert [row["path"] for row in predictions(tmp_path / "two")] == [
        str(video_set / f"videos/test_{i}.mp4") for i in range(5)
    ]
    for name, value in report(tmp_path / "one").items():
        assert report(tmp_path / "two")[name] == value


@pytest.mark.slow
def test_two_nodes_meet_at_an_address(video_set: Path, tmp_path: Path):
    """Each node has its own batch of four: both together take one step for eight videos."""
    overrides = ["TEST.NUM_ENSEMBLE_VIEWS", 1, "SOLVER.MAX_EPOCH", 2, "NUM_SHARDS", 2]
    arguments = tiny_arguments(video_set, tmp_path / "run", *overrides)
    tool = [sys.executable, RUN_NET, "--init_method", f"tcp://127.0.0.1:{free_port()}", "--shard_id"]
    outcomes = run_commands(*([*tool, shard_id, *arguments] for shard_id in range(2)))
    assert [outcome.code for outcome in outcomes] == [0, 0], "\n".join(outcome.err for outcome in outcomes)
    assert "effective batch of 8 clips: 4 videos on each of 2 nodes" in outcomes[0].out
    assert "; 2 processes\n" in outcomes[0].out and "2 epochs of 1 steps" in outcomes[0].out
    assert " INFO " not in outcomes[1].out  # one process speaks
    assert [row["path"] for row in predictions(tmp_path / "run")] == [
        str(video_set / f"videos/test_{i}.mp4") for i in range(6)
    ]
    summary = report(tmp_path / "run")
    assert (summary["expected"], summary["scored"], summary["failed"]) == (6, 6, 0)


@pytest.mark.slow
def test_a_mistake_that_one_of_several_processes_meets_is_told_once(video_set: Path, tmp_path: Path):
    """Spawned processes of one node: all stop, with one line and no traceback."""
    (tmp_path / "broken").mkdir()
    arguments = tiny_arguments(video_set, tmp_path / "run", "DATA.PATH_PREFIX", tmp_path / "broken")
    # How many processes a node has is told by the environment, too, which gives two of them on the CPU.
    (outcome,) = run_commands([sys.executable, RUN_NET, *arguments], environment={"LOCAL_WORLD_SIZE": "2"})
    assert re.match(r".*/videos/train_\d\.mp4 could not be read \(No such file", outcome.error)
    assert not (tmp_path / "run" / "checkpoints").exists()


# Errors before any work


def job_that_must_not_run(cfg: CfgNode, device: torch.device) -> None:
    raise AssertionError("the job was started")


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


def error_of_launch(cfg: CfgNode, capsys: pytest.CaptureFixture[str], **arguments) -> str:
    """The one line that ``launch`` leaves with."""
    with pytest.raises(SystemExit) as stop:
        launch(cfg, job_that_must_not_run, **arguments)
    captured = capsys.readouterr()
    assert stop.value.code == 1 and captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


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


# SLURM


def set_task(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """What srun tells the third of four tasks on two nodes, whose names only SLURM knows."""
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    task = {"JOB_ID": 3000, "STEP_ID": 1, "STEP_NUM_TASKS": 4, "STEP_TASKS_PER_NODE": "2(x2)", "PROCID": 2}
    task |= {"LOCALID": 0, "NODEID": 1, "STEP_NODELIST": "localhost,n[7-9]", "JOB_NODELIST": "n1"}
    for name, value in (task | changes).items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))


@pytest.fixture
def slurm_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough of SLURM for its command that spells lists of nodes out."""
    if shutil.which("scontrol") is None:
        pytest.skip("scontrol, of Debian's slurm-client, is not installed")
    lines = ["ClusterName=test", "SlurmctldHost=localhost", "NodeName=n[7-9]", "PartitionName=p Nodes=n[7-9]"]
    (tmp_path / "slurm.conf").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))


@pytest.mark.usefixtures("slurm_conf")
def test_a_task_of_srun_knows_its_place(monkeypatch: pytest.MonkeyPatch):
    set_task(monkeypatch)
    group = group_of_srun()
    assert (group.rank, group.size, group.local_rank, group.local_size) == (2, 4, 0, 2)
    assert (group.node_idx, group.num_nodes, group.serves_store) == (1, 2, False)
    assert re.fullmatch(r"tcp://localhost:[23]\d{4}", group.init_method)
    set_task(monkeypatch, PROCID=0, NODEID=0)
    assert group_of_srun().init_method == group.init_method and group_of_srun().serves_store
    for other in ({"JOB_ID": 3001}, {"STEP_ID": 2}):  # of another job or step on the same node
        set_task(monkeypatch, **other)
        assert group_of_srun().init_method != group.init_method


@pytest.mark.parametrize(
    "absent", [("STEP_NUM_TASKS", "STEP_TASKS_PER_NODE", "STEP_NODELIST", "STEP_ID"), ("PROCID",), ("LOCALID",)]
)
def test_a_batch_script_is_no_task_of_several(absent: tuple[str, ...], monkeypatch: pytest.MonkeyPatch):
    set_task(monkeypatch, NTASKS=4)
    for name in absent:
        monkeypatch.delenv(f"SLURM_{name}")
    assert group_of_srun() is None


def test_a_shell_on_a_node_is_no_task_of_several(monkeypatch: pytest.MonkeyPatch):
    set_task(monkeypatch, STEP_NUM_TASKS=1, STEP_TASKS_PER_NODE=1, NTASKS=1)
    assert group_of_srun() is None
    seen = []
    launch(load_config(None, ["NUM_GPUS", 0]), lambda *arguments: seen.append(distributed.is_distributed()))
    assert seen == [False]


@pytest.mark.parametrize(
    ("overrides", "changes", "message"),
    [
        ([], {}, r"srun started 2 nodes, but NUM_SHARDS is 1; make them equal"),
        (
            ["NUM_SHARDS", 2, "NUM_GPUS", 4],
            {},
            r"srun started 2 processes on this node, but NUM_GPUS is 4; make them equal \(or NUM_GPUS 0 for the CPU\)",
        ),
        ([], {"STEP_TASKS_PER_NODE": "2,1(x2)"}, r"srun started different numbers of tasks .*--ntasks-per-node"),
        ([], {"STEP_TASKS_PER_NODE": "two"}, r"SLURM_STEP_TASKS_PER_NODE two is not like 2\(x3\),1"),
    ],
)
@pytest.mark.usefixtures("slurm_conf")
def test_a_launch_that_is_not_sruns_is_refused(
    overrides: list, changes: dict, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    set_task(monkeypatch, **changes)
    assert re.match(message, error_of_launch(load_config(None, ["NUM_GPUS", 0, *overrides]), capsys))


def test_a_node_without_scontrol_is_told_what_else_there_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    set_task(monkeypatch)
    monkeypatch.setenv("PATH", "/no/such/folder")
    message = error_of_launch(load_config(None, ["NUM_GPUS", 0]), capsys)
    expected = r"'scontrol show hostnames localhost,n\[7-9\]' does not name the first node \(.*\); start this on every "
    assert re.match(expected + r"node with --init_method", message)


def test_torchrun_and_a_rendezvous_go_before_srun(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    set_task(monkeypatch)
    cfg = load_config(None, ["NUM_GPUS", 0])
    message = error_of_launch(cfg, capsys, init_method="tcp://127.0.0.1:1", shard_id=1)
    assert message.startswith("--shard_id 1 is outside")
    ranks = {"LOCAL_RANK": 0, "RANK": 0, "LOCAL_WORLD_SIZE": 2, "WORLD_SIZE": 6, "MASTER_ADDR": "a", "MASTER_PORT": 1}
    for name, value in ranks.items():
        monkeypatch.setenv(name, str(value))
    assert error_of_launch(cfg, capsys).startswith("torchrun started 3 nodes")


# Rendezvous


def test_a_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        init_method = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        message = error_of_launch(load_config(None, ["NUM_GPUS", 0, "NUM_SHARDS", 2]), capsys, init_method=init_method)
    assert re.match(rf"{init_method} cannot be opened here \(.*\); is another job using the port\?", message)


def test_a_rendezvous_that_nobody_opens_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process_group, "TIMEOUT", timedelta(seconds=0.2))
    place = Group(1, 2, 0, 1, 1, f"tcp://127.0.0.1:{free_port()}", serves_store=False)
    with pytest.raises(
        UserError, match=r"nobody answers at tcp://127.0.0.1:\d+ .*; has the first node \(--shard_id 0\)"
    ):
        open_store(place)


def test_waiting_for_a_rendezvous_ends_when_asked_to(monkeypatch: pytest.MonkeyPatch):
    place = Group(1, 2, 0, 1, 1, f"tcp://127.0.0.1:{free_port()}", serves_store=False)
    with stop_signals_noted():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            open_store(place)


# One process


def test_one_process_does_the_job_itself(monkeypatch: pytest.MonkeyPatch):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    cfg = load_config(None, ["NUM_GPUS", 0])
    seen = []
    launch(cfg, lambda *arguments: seen.append((*arguments, distributed.is_distributed())))
    assert seen == [(cfg, torch.device("cpu"), False)]


def test_the_jobs_mistakes_are_told_in_one_line_and_its_defects_go_through(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)

    def mistaken(cfg: CfgNode, device: torch.device) -> None:
        raise UserError("train.csv:3: no label")

    def defective(cfg: CfgNode, device: torch.device) -> None:
        raise ZeroDivisionError

    cfg = load_config(None, ["NUM_GPUS", 0])
    with pytest.raises(SystemExit) as stop:
        launch(cfg, mistaken)
    assert stop.value.code == 1 and capsys.readouterr().err == "error: train.csv:3: no label\n"
    with pytest.raises(ZeroDivisionError):
        launch(cfg, defective)


def test_a_job_that_is_asked_to_stop_ends_well(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    before = signal.getsignal(signal.SIGTERM)

    def stopped(cfg: CfgNode, device: torch.device) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise_if_stopped()
        raise AssertionError("the signal was not noted")

    launch(load_config(None, ["NUM_GPUS", 0]), stopped)
    assert "stopped by SIGTERM; the same command goes on from the last checkpoint\n" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_thread_that_cannot_note_signals_does_the_job_all_the_same(monkeypatch: pytest.MonkeyPatch):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    cfg, seen = load_config(None, ["NUM_GPUS", 0]), []
    thread = threading.Thread(target=launch, args=(cfg, lambda *arguments: seen.append(arguments)))
    thread.start()
    thread.join(timeout=30)
    assert seen == [(cfg, torch.device("cpu"))]


def test_a_gpu_without_memory_is_told_with_the_keys_that_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)

    def too_large(cfg: CfgNode, device: torch.device) -> None:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.20 GiB "
            "is free. If reserved but unallocated memory is large try setting PYTORCH_ALLOC_CONF."
        )

    cfg = load_config(None, ["NUM_GPUS", 0, "TRAIN.BATCH_SIZE", 12, "TEST.BATCH_SIZE", 6, "SOLVER.ACCUM_STEPS", 2])
    with pytest.raises(SystemExit) as stop:
        launch(cfg, too_large)
    (line,) = capsys.readouterr().err.splitlines()
    sizes = "Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.20 GiB is free. In training"
    assert stop.value.code == 1 and line.startswith(f"error: CUDA out of memory. {sizes}")
    assert "TRAIN.BATCH_SIZE 12 (and raise SOLVER.ACCUM_STEPS 2" in line and "TEST.BATCH_SIZE 6" in line
    assert "MODEL.USE_CHECKPOINT True" in line and "DATA.NUM_FRAMES 8" in line and "PYTORCH_ALLOC_CONF" not in line


def test_the_tool_explains_its_arguments():
    outcome = run_net("--help")
    assert outcome.code == 0
    assert all(option in outcome.out for option in ("--init_method", "--num_shards", "--shard_id"))


def test_the_number_of_nodes_may_be_an_option(video_set: Path, tmp_path: Path):
    arguments = tiny_arguments(video_set, tmp_path)
    outcome = run_net("--num_shards", 2, *arguments)
    assert outcome.error.startswith("NUM_SHARDS 2, but this would start one node alone; ")
    outcome = run_net("--num_shards", 2, *arguments, "NUM_SHARDS", 3)
    assert outcome.error == "--num_shards 2 contradicts NUM_SHARDS 3; leave one of them out"
