"""The heartbeat server and its processes: who is lost, whose error is the first, who says so, and that they end."""

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch.distributed as dist

from slowfast.errors import UserError
from slowfast.launch import heartbeat, heartbeat_server
from slowfast.launch.heartbeat import Heartbeat, ServerAddress, describe, find_server, is_lost_connection, open_server
from slowfast.launch.heartbeat_server import HeartbeatServer
from slowfast.launch.process_group import Group

NODES = [0, 0, 1, 1]  # of four processes
SILENCE_S = 2.0


class Ended(Exception):
    """Stands for the end of a process."""


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Statuses with which processes would have ended; their threads end instead."""
    statuses: list[int] = []

    def end(status: int) -> None:
        statuses.append(status)
        raise Ended

    monkeypatch.setattr(heartbeat, "end_process", end)
    monkeypatch.setattr(heartbeat, "GRACE_S", 0.2)
    monkeypatch.setattr(heartbeat_server, "_SETTLING_S", 0.3)
    monkeypatch.setattr(heartbeat_server, "_STOP_PATIENCE", 1)
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    return statuses


@pytest.fixture
def server() -> Iterator[HeartbeatServer]:
    server = HeartbeatServer(size=4, timeout_s=SILENCE_S)
    yield server
    server.close()


def join(server: HeartbeatServer, rank: int) -> Heartbeat:
    group = Group(rank, 4, rank % 2, 2, NODES[rank], "tcp://127.0.0.1:1", serves_store=False)
    return Heartbeat(
        group, ServerAddress("127.0.0.1", server.port, server.token, "rank 0 (host a)"), timeout_s=SILENCE_S
    )


def join_silently(server: HeartbeatServer, rank: int) -> socket.socket:
    """A process that introduces itself and is then silent."""
    connection = socket.create_connection(("127.0.0.1", server.port))
    text = f'{{"kind": "join", "token": "{server.token}", "name": "rank {rank} (host b)", "node_idx": {NODES[rank]}}}\n'
    connection.sendall(text.encode())
    return connection


def wait_for(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_all_join_and_leave_in_any_order_without_a_word(
    server: HeartbeatServer, ends: list[int], capfd: pytest.CaptureFixture[str]
):
    members = [join(server, rank) for rank in range(4)]
    for member in members:
        member.wait_for_all(10)
    start = time.monotonic()
    for member in members:
        member.leave()
    assert server.wait_until_all_left(None) is None
    assert time.monotonic() - start < 1
    time.sleep(0.6)  # longer than closed connections are borne
    assert server.wait_until_all_left(None) is None
    assert ends == [] and capfd.readouterr().err == ""


def test_those_who_come_late_are_waited_for_but_not_for_ever(server: HeartbeatServer, ends: list[int]):
    members = [join(server, rank) for rank in range(3)]
    with pytest.raises(UserError, match=r"3 of 4 processes have come to tcp://127\.0\.0\.1:1 within 0\.3 s; start all"):
        members[0].wait_for_all(0.3)
    members.append(join(server, 3))
    members[0].wait_for_all(10)
    for member in members:
        member.leave()


def test_the_first_error_is_printed_by_who_met_it_and_once_on_each_other_node(
    server: HeartbeatServer, ends: list[int], capfd: pytest.CaptureFixture[str]
):
    members = [join(server, rank) for rank in range(4)]
    with pytest.raises(Ended):
        members[1].fail(UserError("train.csv:7: no label"))
    name = members[1]._name
    wait_for(lambda: len(ends) == 4)
    with pytest.raises(Ended):  # too late
        members[2].fail(UserError("something else"))
    # The second line is that of the other node; both have one standard error here.
    assert capfd.readouterr().err == f"error: train.csv:7: no label\nerror: {name}: train.csv:7: no label\n"
    assert set(ends) == {1}


def test_an_error_that_a_lost_connection_caused_gives_way_to_its_cause(
    server: HeartbeatServer, ends: list[int], capfd: pytest.CaptureFixture[str]
):
    members = [join(server, rank) for rank in range(2)]
    victim = threading.Thread(
        target=lambda: members[0].fail(RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer"))
    )
    victim.start()
    time.sleep(0.3)
    with pytest.raises(Ended):
        members[1].fail(ZeroDivisionError("a defect"))
    victim.join(timeout=10)
    printed = capfd.readouterr().err
    assert printed.startswith(f"error: {members[1]._name} failed with ZeroDivisionError: a defect\n")
    assert "Connection closed" not in printed


def test_an_error_that_only_looks_like_one_of_a_lost_connection_is_told_in_the_end(
    server: HeartbeatServer, ends: list[int], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(heartbeat, "_CAUSE_S", 0.2)
    member = join(server, 0)
    with pytest.raises(Ended):
        member.fail(RuntimeError("NCCL is not built in"))
    assert "failed with RuntimeError: NCCL is not built in\n" in capfd.readouterr().err


def test_a_closed_connection_is_a_lost_process(
    server: HeartbeatServer, ends: list[int], capfd: pytest.CaptureFixture[str]
):
    join(server, 0)
    join_silently(server, 1).close()
    wait_for(lambda: ends == [1])
    assert capfd.readouterr().err.startswith("error: rank 1 (host b) was lost: its connection closed without a word")


@pytest.mark.slow
def test_a_silent_process_is_lost_after_the_time_that_is_set(
    server: HeartbeatServer, ends: list[int], capfd: pytest.CaptureFixture[str]
):
    join(server, 0)
    start = time.monotonic()
    connection = join_silently(server, 1)
    wait_for(lambda: ends == [1])
    assert 1.9 < time.monotonic() - start < 6
    expected = "error: rank 1 (host b) has not been heard of for 2 s: it hangs or is stopped, or its machine or network"
    printed = capfd.readouterr().err
    assert printed.startswith(expected) and printed.endswith("PEER_TIMEOUT_S says how long to wait\n")
    connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "silent"])
def test_a_lost_server_is_named_by_one_process_per_node(
    is_closed: bool, ends: list[int], capfd: pytest.CaptureFixture[str]
):
    server = socket.create_server(("127.0.0.1", 0))
    address = ServerAddress("127.0.0.1", server.getsockname()[1], "", "rank 0 (host a)")
    members, connections = [], []
    for rank in (1, 2, 3):
        group = Group(rank, 4, rank % 2, 2, NODES[rank], "tcp://127.0.0.1:1", serves_store=False)
        members.append(Heartbeat(group, address, timeout_s=1.0))
        connections.append(server.accept()[0])
    if is_closed:
        for connection in connections:
            connection.close()
    wait_for(lambda: ends == [1, 1, 1])
    reason = "was lost: its connection closed" if is_closed else "has not been heard of for 1 s"
    printed = capfd.readouterr().err
    assert printed.count("error: ") == 2 and printed.count(f"error: rank 0 (host a) {reason}") == 2  # ranks 1 and 2
    for connection in (*connections, server):
        connection.close()


def test_strangers_are_ignored(server: HeartbeatServer, ends: list[int]):
    member = join(server, 0)
    for data in (
        b"GET / HTTP/1.1\r\n\r\n",
        b'{"kind": "join", "token": "x", "name": "y", "node_idx": 0}\n',
        b"[1]\n",
        b"",
    ):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(data)
            connection.settimeout(5)
            if data:
                assert connection.recv(1) == b""  # shown the door
    time.sleep(0.6)
    assert ends == [] and member._first is None
    member.leave()


def test_what_the_starting_process_knows_comes_before_the_closed_connection(
    server: HeartbeatServer, ends: list[int], capfd: pytest.CaptureFixture[str]
):
    join(server, 0)
    join_silently(server, 1).close()
    assert server.claim("rank 1 (host b) was killed by SIGKILL", 1)
    server.tell()
    assert not server.claim("another", 0)
    wait_for(lambda: ends == [1])
    assert capfd.readouterr().err == "error: rank 1 (host b) was killed by SIGKILL\n"
    assert server.wait_until_all_left(None) == "rank 1 (host b) was killed by SIGKILL"


def test_who_comes_after_the_first_error_prints_it_where_nobody_has(
    server: HeartbeatServer, ends: list[int], capfd: pytest.CaptureFixture[str]
):
    server.claim("rank 1 (host b) was killed by SIGKILL", 1)
    server.tell()
    for rank in (0, 1, 2):  # two of node 0, whose first one prints it, and one of node 1
        join(server, rank)
        wait_for(lambda expected=rank + 1: len(ends) == expected)
    assert ends == [1, 1, 1]
    assert capfd.readouterr().err == "error: rank 1 (host b) was killed by SIGKILL\n"


@pytest.mark.slow
def test_a_process_that_stops_is_no_error_of_others_unless_they_go_on(
    server: HeartbeatServer, ends: list[int], capfd: pytest.CaptureFixture[str]
):
    members = [join(server, rank) for rank in range(2)]
    members[1].tell_stopped("SIGTERM")
    members[1].leave()
    assert members[0].is_stopped_with(RuntimeError("Connection closed by peer")) and members[0].stop_cause == "SIGTERM"
    assert not members[0].is_stopped_with(ZeroDivisionError())
    wait_for(lambda: ends == [1])
    name, other = members[1]._name, members[0]._name
    assert capfd.readouterr().err == f"error: {name} was stopped by SIGTERM, but not within 2 s {other}\n"


def test_a_hub_that_is_not_there_any_more_is_told():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = ServerAddress("127.0.0.1", server.getsockname()[1], "", "rank 0 (host a)")
    place = Group(1, 2, 1, 2, 0, "file:///tmp/rendezvous", serves_store=False)
    with pytest.raises(
        UserError, match=r"rank 0 \(host a\) does not answer at 127.*is file:///tmp/rendezvous not left over"
    ):
        Heartbeat(place, address, timeout_s=1)


def test_a_hub_is_found_through_a_store(tmp_path: Path):
    store = dist.FileStore(str(tmp_path / "store"), 1)
    server = open_server(store, f"file://{tmp_path}/store", size=1, timeout_s=5, served_by="rank 0 (host a)")
    address = find_server(store)
    assert (address.port, address.token, address.served_by) == (server.port, server.token, "rank 0 (host a)")
    member = Heartbeat(Group(0, 1, 0, 1, 0, "", serves_store=False), address, timeout_s=5)
    member.wait_for_all(10)
    member.leave()
    server.close()


@pytest.mark.parametrize(
    ("error", "is_lost"),
    [
        (RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [::1]:2"), True),
        (dist.DistNetworkError("recvValue failed"), True),
        (ConnectionResetError("Connection reset by peer"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (UserError("the connection closed"), False),
        (ZeroDivisionError("gloo"), False),
    ],
)
def test_errors_of_lost_connections_are_told_from_others(error: Exception, is_lost: bool):
    assert is_lost_connection(error) == is_lost


def test_errors_are_described_in_a_line_for_others_and_in_full_at_home():
    assert describe(UserError("a: b"), "rank 1 (host a)") == ("rank 1 (host a): a: b", "error: a: b")
    try:
        raise KeyError("x")
    except KeyError as error:
        headline, text = describe(error, "rank 1 (host a)")
    assert headline == "rank 1 (host a) failed with KeyError: 'x'"
    assert text.startswith(f"error: {headline}\nTraceback") and text.endswith("KeyError: 'x'")
    for stop, ending in ((SystemExit(3), "ended with status 3"), (KeyboardInterrupt(), "was interrupted from the")):
        headline, text = describe(stop, "rank 1 (host a)")
        assert headline.startswith(f"rank 1 (host a) {ending}") and text == f"error: {headline}"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
@pytest.mark.parametrize("is_local", [True, False])
def test_processes_of_one_machine_meet_where_no_other_machine_can_connect(is_local: bool):
    server = HeartbeatServer(size=2, timeout_s=SILENCE_S, is_local=is_local)
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
        with contextlib.ExitStack() as stack:
            if is_local:
                stack.enter_context(pytest.raises(ConnectionRefusedError))
            stack.enter_context(socket.create_connection(("127.0.0.2", server.port), timeout=5))  # another address
    finally:
        server.close()
