"""Processes that work together end together: the first error on top, lost ones named, and no error where all stop.

The jobs are those of tests/launch/job_program.py: each uses collectives of two processes over gloo until it ends.
"""

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command_line import Outcome, run_commands
from tests.free_port import free_port

PROGRAM = ["-m", "tests.launch.job_program"]
ENVIRONMENT = {"OMP_NUM_THREADS": "1"}
# How processes are started: by this program on one node or on two, by torchrun on one node or on two.
LIMIT_S = 180  # for the whole program, its start included, on a busy machine


def run_job(
    way: str, job: str, folder: Path, *overrides: object, meanwhile: Callable[[list[int]], None] | None = None
) -> list[Outcome]:
    """Run a job on two processes, and return what came of each node."""
    words = [job, *overrides, "OUTPUT_DIR", folder]
    environment = ENVIRONMENT
    if way == "spawn":
        environment = {**ENVIRONMENT, "LOCAL_WORLD_SIZE": "2"}  # which is how a node without GPUs gets two processes
        commands = [[*PROGRAM, *words]]
    elif way == "nodes":
        init_method = f"tcp://127.0.0.1:{free_port()}"
        commands = [
            [*PROGRAM, *words, "NUM_SHARDS", 2, "--init_method", init_method, "--shard_id", shard_id]
            for shard_id in range(2)
        ]
    elif way == "torchrun":
        torchrun = ["-m", "torch.distributed.run", "--nproc_per_node", 2, "--master_port", free_port()]
        commands = [[*torchrun, *PROGRAM, *words]]
    else:
        torchrun = ["-m", "torch.distributed.run", "--nproc_per_node", 1, "--nnodes", 2]
        torchrun += ["--master_addr", "127.0.0.1", "--master_port", free_port(), "--node_rank"]
        commands = [[*torchrun, node, *PROGRAM, *words, "NUM_SHARDS", 2] for node in range(2)]
    return run_commands(
        *([sys.executable, *command] for command in commands),
        environment=environment,
        timeout_s=LIMIT_S,
        meanwhile=meanwhile,
    )


def pid_of(folder: Path, rank: int) -> int:
    """The id of a process, once all have met."""
    deadline = time.monotonic() + LIMIT_S
    while not (folder / str(rank)).exists():
        assert time.monotonic() < deadline, "the processes did not meet"
        time.sleep(0.02)
    return int((folder / str(rank)).read_text())


def is_running(pid: int) -> bool:
    """Whether a process is there and not only waiting for its parent to take note of its end."""
    return read_stat(pid)[:1] not in ([], ["Z"])


def read_stat(pid: int) -> list[str]:
    """Of Linux, about a process: its state, its parent and so on; [] for one that is not there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def num_children(pid: int) -> int:
    """How many processes it has started that are there."""
    everyone = (read_stat(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit())
    return sum(stat[1:2] == [str(pid)] for stat in everyone)


def first_line(outcome: Outcome) -> str:
    """The first line of standard error; what torchrun itself reports comes after."""
    return outcome.err.splitlines()[0]


def check_ended_badly(outcomes: list[Outcome], folder: Path) -> None:
    """Every node ended with a status other than 0, one error, and without leaving processes behind."""
    for outcome in outcomes:
        assert outcome.code != 0 and "ended well" not in outcome.out
        assert outcome.err.count("error: ") - outcome.err.count("sub_class_error: ") == 1, outcome.err
        assert "recvValue failed" not in outcome.err and "frame #0" not in outcome.err
    for path in folder.iterdir():
        assert not is_running(int(path.read_text()))


# Errors


@pytest.mark.slow
@pytest.mark.parametrize("way", ["spawn", "nodes", "torchrun"])
def test_the_mistake_that_one_process_meets_is_told_once_and_ends_all(way: str, tmp_path: Path):
    outcomes = run_job(way, "mistake_on_last", tmp_path)
    check_ended_badly(outcomes, tmp_path)
    assert first_line(outcomes[-1]) == "error: train.csv:7: no label"
    if len(outcomes) == 2:
        assert re.fullmatch(r"error: rank 1 \(host \S+\): train\.csv:7: no label", first_line(outcomes[0]))
    if "torchrun" not in way:
        assert [len(outcome.err.splitlines()) for outcome in outcomes] == [1] * len(outcomes)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["nodes"])
def test_the_defect_of_one_process_is_told_with_its_traceback_and_ends_all(way: str, tmp_path: Path):
    outcomes = run_job(way, "defect_on_first", tmp_path)
    check_ended_badly(outcomes, tmp_path)
    headline = r"error: rank 0 \(host \S+\) failed with ZeroDivisionError: a defect"
    for outcome in outcomes:
        assert re.fullmatch(headline, first_line(outcome))
    assert outcomes[0].err.count('raise ZeroDivisionError("a defect")') == 1
    assert [outcome.err.count("Traceback") for outcome in outcomes] == [1, 0][: len(outcomes)]


@pytest.mark.slow
def test_processes_that_no_lost_connection_wakes_end_too(tmp_path: Path):
    outcomes = run_job("spawn", "defect_while_others_hang", tmp_path)
    check_ended_badly(outcomes, tmp_path)
    assert re.match(r"error: rank 1 \(host \S+\) failed with ZeroDivisionError: a defect\n", outcomes[0].err)


@pytest.mark.slow
def test_a_gpu_without_memory_names_the_keys_that_help(tmp_path: Path):
    (outcome,) = run_job("spawn", "fill_memory", tmp_path)
    assert outcome.err.count("\n") == 1 and outcome.code == 1
    assert "Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB" in outcome.error
    assert "PYTORCH_ALLOC_CONF" not in outcome.error
    for key in ("TRAIN.BATCH_SIZE 64", "SOLVER.ACCUM_STEPS 1", "MODEL.CHECKPOINT_NUM [0, 0, 0, 0]", "DATA.NUM_FRAMES"):
        assert key in outcome.error


# Lost processes


@pytest.mark.slow
@pytest.mark.parametrize(("way", "lost_rank"), [("spawn", 0), ("torchrun nodes", 1)])
def test_a_killed_process_is_named_and_ends_all(way: str, lost_rank: int, tmp_path: Path):
    outcomes = run_job(
        way, "work", tmp_path, meanwhile=lambda pids: os.kill(pid_of(tmp_path, lost_rank), signal.SIGKILL)
    )
    survivor = outcomes[0] if len(outcomes) == 1 else outcomes[1 - lost_rank]
    assert all(outcome.code != 0 for outcome in outcomes)
    name = rf"error: rank {lost_rank} \(host \S+\)"
    if way == "spawn":
        assert re.fullmatch(name + r" was killed by SIGKILL \(out of memory\?\)\n", survivor.err)
        assert survivor.code == 128 + signal.SIGKILL
    elif way == "nodes":
        assert re.fullmatch(name + r" was (killed by SIGKILL.*|lost: its connection closed .*)\n", survivor.err)
        assert re.match(name + r" was killed by SIGKILL", outcomes[lost_rank].err)
    else:
        # torchrun itself may have noticed before, and said that it ends the others.
        assert re.search("^" + name + r" was lost: its connection closed without a word", survivor.err, re.MULTILINE)
    assert not is_running(pid_of(tmp_path, 1 - lost_rank))


@pytest.mark.slow
@pytest.mark.parametrize(("way", "lost_rank"), [("nodes", 1)])
def test_a_process_that_is_stopped_is_named_after_the_time_that_the_config_says(
    way: str, lost_rank: int, tmp_path: Path
):
    times = []

    def stop(pids: list[int]) -> None:
        os.kill(pid_of(tmp_path, lost_rank), signal.SIGSTOP)
        times.append(time.monotonic())
        if way != "spawn":
            # A machine that does not answer: nobody there ends what is stopped. The others end without it.
            while is_running(pid_of(tmp_path, 1 - lost_rank)):
                assert time.monotonic() < times[0] + LIMIT_S
                time.sleep(0.1)
            times.append(time.monotonic())
            os.kill(pid_of(tmp_path, lost_rank), signal.SIGKILL)

    outcomes = run_job(way, "work", tmp_path, "PEER_TIMEOUT_S", 3, meanwhile=stop)
    if way != "spawn":
        assert 3 < times[1] - times[0] < 3 + 20
    survivor = outcomes[0] if len(outcomes) == 1 else outcomes[1 - lost_rank]
    assert all(outcome.code != 0 for outcome in outcomes)
    expected = rf"error: rank {lost_rank} \(host \S+\) has not been heard of for 3 s: .*; PEER_TIMEOUT_S says how long"
    assert re.match(expected, survivor.err), survivor.err


@pytest.mark.slow
def test_a_crash_in_native_code_is_named(tmp_path: Path):
    (outcome,) = run_job("spawn", "crash_on_last", tmp_path)
    check_ended_badly([outcome], tmp_path)
    assert re.match(r"error: rank 1 \(host \S+\) was killed by SIGSEGV\n", outcome.err)


@pytest.mark.slow
def test_an_exit_without_a_word_is_named_and_its_status_is_that_of_all(tmp_path: Path):
    (outcome,) = run_job("spawn", "exit_on_last", tmp_path)
    assert re.fullmatch(r"error: rank 1 \(host \S+\) ended with status 3\n", outcome.err)
    assert outcome.code == 3


@pytest.mark.slow
def test_a_process_that_ends_well_before_it_has_joined_is_not_waited_for(tmp_path: Path):
    plugin = tmp_path.with_name(f"{tmp_path.name}.py")
    plugin.write_text(
        "import multiprocessing, os\nmultiprocessing.current_process().name == 'rank 1' and os._exit(0)\n"
    )
    (outcome,) = run_job("spawn", "finish", tmp_path, "PLUGINS", f"['{plugin}']")
    assert re.fullmatch(r"rank 1 \(host \S+\) ended with status 0 before it had joined the others", outcome.error)
    assert outcome.code == 1


@pytest.mark.slow
def test_processes_do_not_outlive_the_one_that_started_them(tmp_path: Path):
    def kill_parent(pids: list[int]) -> None:
        pid_of(tmp_path, 0), pid_of(tmp_path, 1)
        os.kill(pids[0], signal.SIGKILL)

    (outcome,) = run_job("spawn", "work", tmp_path, meanwhile=kill_parent)
    message = r"error: the process that started rank 0 \(host \S+\) was lost: its connection closed .*\n"
    assert re.fullmatch(message, outcome.err)
    assert not is_running(pid_of(tmp_path, 0)) and not is_running(pid_of(tmp_path, 1))


# Ends that are no errors


@pytest.mark.slow
@pytest.mark.parametrize("way", ["spawn"])
def test_a_process_that_has_finished_is_not_lost(way: str, tmp_path: Path):
    outcomes = run_job(way, "finish", tmp_path, "PEER_TIMEOUT_S", 1)
    assert [outcome.code for outcome in outcomes] == [0] * len(outcomes)
    assert all(outcome.err == "" for outcome in outcomes), outcomes
    assert sum(outcome.out.count("ended well") for outcome in outcomes) == (1 if way == "spawn" else 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "number"),
    [("parent", signal.SIGUSR2), ("rank 1", signal.SIGTERM)],
)
def test_a_stop_signal_ends_all_in_peace(target: str, number: signal.Signals, tmp_path: Path):
    def stop(pids: list[int]) -> None:
        ranks = [pid_of(tmp_path, 0), pid_of(tmp_path, 1)]
        for pid in {"parent": pids, "rank 1": ranks[1:]}[target]:
            os.kill(pid, number)

    (outcome,) = run_job("spawn", "stop_when_asked", tmp_path, meanwhile=stop)
    assert (outcome.code, outcome.err) == (0, "")
    message = f"stopped by {number.name}; the same command resumes from the last checkpoint"
    assert outcome.out.count(message) == 1 and outcome.out.count("ended well") == 1


@pytest.mark.slow
def test_a_stop_signal_ends_two_nodes_in_peace(tmp_path: Path):
    def stop(pids: list[int]) -> None:
        pid_of(tmp_path, 0), pid_of(tmp_path, 1)
        for pid in pids:
            os.kill(pid, signal.SIGTERM)

    outcomes = run_job("nodes", "stop_when_asked", tmp_path, meanwhile=stop)
    assert [(outcome.code, outcome.err) for outcome in outcomes] == [(0, "")] * 2
    assert [outcome.out.count("stopped by SIGTERM; the same command resumes") for outcome in outcomes] == [1, 0]


@pytest.mark.slow
def test_a_stop_signal_while_the_processes_start_is_not_lost(tmp_path: Path):
    """They hold it back until they can take note of it."""

    def stop(pids: list[int]) -> None:
        # The two, which take seconds to import, and what multiprocessing keeps track with.
        while num_children(pids[0]) < 3:
            time.sleep(0.01)
        os.kill(pids[0], signal.SIGTERM)

    (outcome,) = run_job("spawn", "stop_when_asked", tmp_path, meanwhile=stop)
    assert (outcome.code, outcome.err) == (0, "")
