"""Where a process stands among those that work together, and how they find each other."""

import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass

import torch.distributed as dist

from slowfast.errors import UserError
from slowfast.runtime.distributed import TIMEOUT
from slowfast.runtime.interruption import raise_if_stopped

_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_FIRST_PORT, _NUM_PORTS = 20_000, 12_000  # below those that systems give to outgoing connections


@dataclass(frozen=True)
class Group:
    """Where a process stands.

    Attributes:
        rank: 0-based index among all processes.
        size: number of processes on all nodes.
        local_rank: 0-based index on this node.
        local_size: number of processes on each node.
        node_idx: 0-based index of this node.
        init_method: the rendezvous, tcp://HOST:PORT or file:///PATH, where all find each other.
        serves_store: whether this process opens the rendezvous; else somebody else does.
        started_by: "torchrun", "srun", or "" for processes that this program started itself.
        attempt: what tells apart the attempts of a launcher that starts all processes again at one rendezvous.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    node_idx: int
    init_method: str
    serves_store: bool
    started_by: str = ""
    attempt: str = "0"

    @property
    def num_nodes(self) -> int:
        """Nodes that work together."""
        return self.size // self.local_size


def group_of_torchrun() -> Group | None:
    """What torchrun says in the environment; None where it did not start this process.

    Raises:
        UserError: if some of its variables are missing.
    """
    env = os.environ
    if "LOCAL_RANK" not in env or "WORLD_SIZE" not in env:
        return None
    missing = [name for name in _TORCHRUN if name not in env]
    if missing:
        raise UserError(
            f"the environment has LOCAL_RANK and WORLD_SIZE, but not {', '.join(missing)}; torchrun sets them all: "
            f"start this with torchrun, or unset LOCAL_RANK"
        )
    rank, local_size = int(env["RANK"]), int(env["LOCAL_WORLD_SIZE"])
    return Group(
        rank=rank,
        size=int(env["WORLD_SIZE"]),
        local_rank=int(env["LOCAL_RANK"]),
        local_size=local_size,
        node_idx=rank // local_size,
        init_method=f"tcp://{env['MASTER_ADDR']}:{env['MASTER_PORT']}",
        serves_store=rank == 0 and env.get("TORCHELASTIC_USE_AGENT_STORE") != "True",
        started_by="torchrun",
        attempt=env.get("TORCHELASTIC_RESTART_COUNT", "0"),
    )


def group_of_srun() -> Group | None:
    """What SLURM says to each of several tasks that one ``srun`` started; None elsewhere.

    A batch script, and a shell on a node, are no tasks of several: what they start is not a group.

    Raises:
        UserError: if nodes have different numbers of tasks, or the first node cannot be told.
    """
    env = os.environ
    size = int(env.get("SLURM_STEP_NUM_TASKS", "1"))
    if size == 1 or "SLURM_PROCID" not in env or "SLURM_LOCALID" not in env:
        return None
    counts = set(_tasks_per_node(env["SLURM_STEP_TASKS_PER_NODE"]))
    if len(counts) != 1:
        raise UserError(
            f"srun started different numbers of tasks on its nodes ({env['SLURM_STEP_TASKS_PER_NODE']}); "
            f"give it --ntasks-per-node"
        )
    rank = int(env["SLURM_PROCID"])
    # One number for each step of each job, so that jobs that share a node do not meet each other.
    port = _FIRST_PORT + (int(env["SLURM_JOB_ID"]) * 7 + int(env.get("SLURM_STEP_ID", "0"))) % _NUM_PORTS
    return Group(
        rank=rank,
        size=size,
        local_rank=int(env["SLURM_LOCALID"]),
        local_size=counts.pop(),
        node_idx=int(env.get("SLURM_NODEID", "0")),
        init_method=f"tcp://{_first_host(env.get('SLURM_STEP_NODELIST') or env['SLURM_JOB_NODELIST'])}:{port}",
        serves_store=rank == 0,
        started_by="srun",
        attempt=env.get("SLURM_RESTART_COUNT", "0"),
    )


def _tasks_per_node(text: str) -> list[int]:
    """SLURM's short form, such as "2(x3),1", one number per node."""
    counts = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if match is None:
            raise UserError(f"SLURM_STEP_TASKS_PER_NODE {text} is not like 2(x3),1")
        counts += [int(match[1])] * int(match[2] or 1)
    return counts


def _first_host(node_list: str) -> str:
    """Address of the first node of a list such as n[1-3]."""
    try:
        name = _scontrol("hostnames", node_list).split()[0]
        try:
            socket.getaddrinfo(name, None)
        except OSError:  # a node's name need not be one that the network knows
            address = re.search(r"NodeAddr=(\S+)", _scontrol("node", name))
            return address[1] if address else name
        return name
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        raise UserError(
            f"'scontrol show hostnames {node_list}' does not name the first node ({error}); start this on every node "
            f"with --init_method tcp://HOST:PORT and its --shard_id instead"
        ) from error


def _scontrol(what: str, name: str) -> str:
    return subprocess.run(["scontrol", "show", what, name], check=True, capture_output=True, text=True).stdout


def open_store(group: Group) -> dist.Store:
    """The store at the rendezvous, which this process serves or joins; waits for whoever serves it.

    Raises:
        UserError: if the place is taken, or nobody has opened it in the time that collectives wait.
        Interrupted: if this process is asked to stop meanwhile.
    """
    if group.init_method.startswith("file://"):
        path = group.init_method.removeprefix("file://")
        try:
            return dist.FileStore(path, group.size)
        except RuntimeError as error:
            raise UserError(f"{group.init_method} cannot be a rendezvous: {error}") from error
    host, port = rendezvous_address(group.init_method)
    if group.serves_store:
        store = serve_store(host, port)
    else:
        _wait_for_server(host, port)
        store = dist.TCPStore(host, port, is_master=False, timeout=TIMEOUT, wait_for_workers=False)
    return dist.PrefixStore(f"attempt {group.attempt}", store)


def rendezvous_address(init_method: str) -> tuple[str, int]:
    """Host and port of tcp://HOST:PORT."""
    host, _, port = init_method.removeprefix("tcp://").rpartition(":")
    return host.strip("[]"), int(port)


def serve_store(host: str, port: int) -> dist.TCPStore:
    """Open a store at an address of this machine; port 0 takes a free one.

    Raises:
        UserError: if the port is taken.
    """
    try:
        return dist.TCPStore(host, port, is_master=True, timeout=TIMEOUT, wait_for_workers=False)
    except RuntimeError as error:  # a DistNetworkError, which PyTorch 2.6 does not raise yet
        raise UserError(
            f"tcp://{host}:{port} cannot be opened here ({error}); is another job using the port?"
        ) from error


def _wait_for_server(host: str, port: int) -> None:
    """Wait by oneself: the store's own waiting writes to standard error and cannot be asked to stop."""
    deadline = time.monotonic() + TIMEOUT.total_seconds()
    while True:
        raise_if_stopped()
        try:
            socket.create_connection((host, port), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise UserError(
                    f"nobody answers at tcp://{host}:{port} ({error}); has the first node (--shard_id 0) been started, "
                    f"and is this its address?"
                ) from error
        time.sleep(0.1)
