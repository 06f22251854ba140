"""The processes of one node that this program starts itself, and the parent that waits for them."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from slowfast.launch.heartbeat import GRACE_S, LINGER_S, open_server, print_error, process_name
from slowfast.launch.heartbeat_server import HeartbeatServer
from slowfast.launch.process_group import Group, open_store
from slowfast.runtime.fork_server import start_resource_tracker
from slowfast.runtime.interruption import ONE_REQUEST_S, STOP_SIGNALS, exit_status, noted_signals
from slowfast.runtime.processes import how_ended

# After the first process has failed the others have this time to end by themselves; then they are killed.
_END_S = GRACE_S + LINGER_S + 2.0


def run_processes(
    target: Callable[..., None],
    arguments: tuple,
    *,
    num_processes: int,
    num_nodes: int,
    node_idx: int,
    init_method: str,
    timeout_s: float,
) -> None:
    """Run ``target(group, *arguments)`` in processes of this node; return when all have ended well.

    The parent of the first node runs the heartbeat server, as it outlives them and knows how each of its own ended.
    Stop signals are handed on to the processes.

    Args:
        target: a module-level function.
        arguments: pickled for each process.
        num_processes: on this node.
        num_nodes: on which this is done.
        node_idx: 0-based index of this node.
        init_method: where nodes meet; "" for one node.
        timeout_s: silence after which a process counts as lost.

    Raises:
        UserError: if the rendezvous cannot be opened.
        SystemExit: with the status of the first process that failed, or that of Ctrl-C or SIGHUP.
    """
    size = num_processes * num_nodes
    server = None
    if node_idx == 0:
        place = Group(0, size, 0, num_processes, 0, init_method or "tcp://127.0.0.1:0", serves_store=True)
        store = open_store(place)
        init_method = init_method or f"tcp://127.0.0.1:{store.underlying_store.port}"
        name = f"the process that started {process_name(0)}"
        server = open_server(store, init_method, size=size, timeout_s=timeout_s, served_by=name)
    groups = [
        Group(node_idx * num_processes + i, size, i, num_processes, node_idx, init_method, serves_store=False)
        for i in range(num_processes)
    ]
    with _signals_handed_on() as (children, received):
        try:
            _start(children, target, groups, arguments)
            status = _wait(children, groups, server, received)
            error = server.wait_until_all_left(LINGER_S if status else None) if server is not None else None
        finally:
            _kill(children)
            if server is not None:
                server.close()
                _remove_rendezvous(init_method)
    if status == 0 and error is not None:  # on another node, after this one's processes had done their part
        if not server.has_told(node_idx):
            print_error(f"error: {error}")
        status = 1
    status = next(filter(None, (exit_status(number.name) for number in received)), status)
    if status:
        sys.exit(status)


def _remove_rendezvous(init_method: str) -> None:
    """Remove a file at which processes have met, which those that were ended have left behind."""
    if init_method.startswith("file://"):
        Path(init_method.removeprefix("file://")).unlink(missing_ok=True)


def _start(children: list[BaseProcess], target: Callable[..., None], groups: list[Group], arguments: tuple) -> None:
    """Start the processes with stop signals held back, until their handlers are there to note them."""
    context = multiprocessing.get_context("spawn")
    start_resource_tracker()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        for group in groups:
            child = context.Process(target=target, args=(group, *arguments), name=f"rank {group.rank}")
            child.start()
            children.append(child)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def _wait(
    children: list[BaseProcess], groups: list[Group], server: HeartbeatServer | None, received: list[signal.Signals]
) -> int:
    """Wait for all; once one has failed, for a while only. Returns the first status other than 0.

    One that ends before it has joined the others fails, too, whatever its status: they would wait for it. Unless all
    have been asked to stop.
    """
    status, deadline = 0, None
    running = {child.sentinel: (child, group) for child, group in zip(children, groups, strict=True)}
    while running:
        timeout_s = None if deadline is None else max(deadline - time.monotonic(), 0)
        ended = multiprocessing.connection.wait(running, timeout_s)
        if not ended:
            break
        for sentinel in ended:
            child, group = running.pop(sentinel)
            child.join()
            is_missed = server is not None and not received and not server.has_joined(process_name(group.rank))
            if (child.exitcode or is_missed) and not status:
                status, deadline = _status_of(child) or 1, time.monotonic() + _END_S
                _tell_end_of(child, group, server)
    return status


def _status_of(child: BaseProcess) -> int:
    """The exit status, as a shell gives it for a process that a signal has killed."""
    return child.exitcode if child.exitcode >= 0 else 128 - child.exitcode


def _tell_end_of(child: BaseProcess, group: Group, server: HeartbeatServer | None) -> None:
    """Say how a process ended that could not do so itself; one that has told its error is heard already."""
    name = process_name(group.rank)
    message = f"{name} {how_ended(child.exitcode)}{'' if child.exitcode else ' before it had joined the others'}"
    if server is None:
        # Another node's server sees the connection close, but not why.
        if child.exitcode < 0:
            print_error(f"error: {message}")
    elif server.claim(message, group.node_idx):
        print_error(f"error: {message}")
        server.tell()


def _kill(children: list[BaseProcess]) -> None:
    for child in children:
        if child.is_alive():
            child.kill()
    for child in children:
        child.join()


@contextlib.contextmanager
def _signals_handed_on() -> Iterator[tuple[list[BaseProcess], list[signal.Signals]]]:
    """Give stop signals to all processes of the first list, and note them in the second one.

    Those that follow at once are the same request. Outside the main thread there are none.
    """
    children: list[BaseProcess] = []
    received: list[signal.Signals] = []
    if threading.current_thread() is not threading.main_thread():
        yield children, received
        return
    last_at = 0.0

    def hand_on(number: int, frame: FrameType | None) -> None:
        nonlocal last_at
        now = time.monotonic()
        is_new, last_at = now - last_at >= ONE_REQUEST_S, now
        if is_new:
            received.append(signal.Signals(number))
            for child in children:
                if child.is_alive():
                    os.kill(child.pid, number)

    before = {number: signal.signal(number, hand_on) for number in noted_signals()}
    try:
        yield children, received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
