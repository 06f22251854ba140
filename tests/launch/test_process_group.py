"""Where a process stands, as srun says it, and how processes find each other."""

import os
import re
import shutil
import signal
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from slowfast.config import load_config
from slowfast.errors import UserError
from slowfast.launch import process_group
from slowfast.launch.launch import launch
from slowfast.launch.process_group import Group, group_of_srun, open_store
from slowfast.runtime import distributed
from slowfast.runtime.interruption import Interrupted, stop_signals_noted
from tests.free_port import free_port
from tests.launch.refused_launch import error_of_launch, set_task

# SLURM


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
