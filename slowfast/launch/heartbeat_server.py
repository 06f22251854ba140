"""The one place that hears from every process of a group: who is there, who is lost, whose error was the first.

It is a small server of its own rather than collectives or their store: those do not notice a process that is gone
(NCCL), or end with pages of native stack frames. A process keeps one connection to it, which the system closes when
the process dies, and sends a heartbeat every second, which stops when the process or its machine does.
"""

import contextlib
import json
import os
import secrets
import selectors
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any

# At most, between two heartbeats of a process.
INTERVAL_S = 1.0
# A closed connection is a lost process after this time; until then somebody may know better why it ended.
_SETTLING_S = 1.0
# Once a process has stopped because it was asked to, the others have so many times ``timeout_s`` to save and follow.
_STOP_PATIENCE = 5
_TICK_S = 0.1


def lost_message(name: str, silent_s: float | None) -> str:
    """What to say of a process that is gone: its connection was closed, or it was silent for some seconds."""
    if silent_s is None:
        return f"{name} was lost: its connection closed without a word (was it killed, or its machine shut down?)"
    return (
        f"{name} has not been heard of for {silent_s:g} s: it hangs or is stopped, or its machine or network is gone; "
        f"PEER_TIMEOUT_S says how long to wait"
    )


@dataclass(eq=False)
class _Member:
    """A connection and what came over it."""

    connection: socket.socket
    unread: bytes = b""
    name: str = ""  # "" until it has introduced itself
    node_idx: int = -1
    silent_s: float = 0.0
    has_left: bool = False
    is_closed: bool = False
    closed_s: float = 0.0


@dataclass
class _State:
    """What all should know. ``first`` is known to all only once ``is_told``, after its own process has printed it."""

    first: str | None = None
    told_nodes: set[int] = field(default_factory=set)
    is_told: bool = False
    stop_cause: str | None = None
    stopped_s: float = 0.0


class HeartbeatServer:
    """Serves all processes of a group from a thread of its own, until it is closed.

    Args:
        size: number of processes.
        timeout_s: silence after which a process counts as lost.
        is_local: all processes are on this machine, so that no other can connect.
    """

    def __init__(self, *, size: int, timeout_s: float, is_local: bool = False) -> None:
        self._size, self._timeout_s = size, timeout_s
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024) if is_local else _listen_everywhere()
        self.port = self._listener.getsockname()[1]
        self.token = secrets.token_hex(8)
        self._lock = threading.RLock()
        self._state = _State()
        self._members: list[_Member] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._is_closed = threading.Event()
        # Workers that load data would keep connections open that end with this process.
        os.register_at_fork(after_in_child=self._close_connections)
        self._thread = threading.Thread(target=self._serve, name="heartbeat server", daemon=True)
        self._thread.start()

    def claim(self, message: str, node_idx: int) -> bool:
        """Make a message the first error, if there is none; the claimer prints it on its node, then calls ``tell``."""
        with self._lock:
            if self._state.first is not None:
                return False
            self._state.first = message
            self._state.told_nodes.add(node_idx)
            return True

    def tell(self) -> None:
        """Send the first error to all; one process of each node where nobody has printed it is asked to."""
        with self._lock:
            if self._state.is_told:
                return
            self._state.is_told = True
            for member in self._present():
                self._tell(member)

    def _tell(self, member: _Member) -> None:
        """Send the first error to one, who is to print it if he is awake and nobody of his node has."""
        is_awake = member.silent_s < 3 * INTERVAL_S
        is_speaker = is_awake and member.node_idx not in self._state.told_nodes
        if is_speaker:
            self._state.told_nodes.add(member.node_idx)
        _send(member, kind="first", message=self._state.first, is_speaker=is_speaker)

    def has_told(self, node_idx: int) -> bool:
        """Whether somebody has printed the first error on a node, or was asked to."""
        with self._lock:
            return node_idx in self._state.told_nodes

    def has_joined(self, name: str) -> bool:
        """Whether a process has ever been there."""
        with self._lock:
            return any(member.name == name for member in self._members)

    def wait_until_all_left(self, timeout_s: float | None) -> str | None:
        """Stay until every process has left or is lost.

        Args:
            timeout_s: longest wait; None waits for ever, but returns at once when there is an error.

        Returns:
            The first error, if there is one.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            with self._lock:
                joined = [member for member in self._members if member.name]
                num_gone = sum(member.has_left or member.is_closed for member in joined)
                # After an error those who are still to come should hear of it; after a good end nobody comes.
                num_expected = len(joined) if deadline is None else self._size
                is_over = self._state.is_told if deadline is None else time.monotonic() > deadline
                if is_over or num_gone >= num_expected:
                    return self._state.first
            time.sleep(0.02)

    def close(self) -> None:
        """End the thread and close all connections."""
        self._is_closed.set()
        self._thread.join(timeout=1)
        self._close_connections()

    def _close_connections(self) -> None:
        for connection in [self._listener, *(member.connection for member in self._members)]:
            connection.close()

    def _present(self) -> list[_Member]:
        return [member for member in self._members if member.name and not (member.has_left or member.is_closed)]

    def _serve(self) -> None:
        then = time.monotonic()
        while not self._is_closed.is_set():
            events = self._selector.select(_TICK_S)
            with self._lock:
                for key, _ in events:
                    if key.data is None:
                        self._accept()
                    else:
                        self._receive(key.data)
                now = time.monotonic()
                # Time in which this process itself was stopped is held against nobody.
                self._look_for_lost(min(now - then, 5 * _TICK_S))
                then = now

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(1)
        member = _Member(connection)
        self._members.append(member)
        self._selector.register(connection, selectors.EVENT_READ, member)

    def _receive(self, member: _Member) -> None:
        try:
            data = member.connection.recv(65536)
        except OSError:
            data = b""
        *lines, member.unread = (member.unread + data).split(b"\n")
        try:
            for line in lines:
                self._handle(member, json.loads(line))
        except (ValueError, KeyError, TypeError):  # not one of ours
            data = b""
        if not data:
            self._selector.unregister(member.connection)
            member.connection.close()
            member.is_closed = True

    def _handle(self, member: _Member, message: dict[str, Any]) -> None:
        kind = message["kind"]
        if kind == "join":
            if message["token"] != self.token:
                raise ValueError("a stranger")
            member.name, member.node_idx = message["name"], message["node_idx"]
        elif not member.name:
            raise ValueError("has not introduced itself")
        member.silent_s = 0.0
        if kind == "ping":
            num_joined = sum(bool(member.name) for member in self._members)
            _send(member, kind="pong", num_joined=num_joined)
        elif kind == "claim":
            if self.claim(message["message"], member.node_idx):
                _send(member, kind="granted")
        elif kind == "told":
            self.tell()
        elif kind == "stop":
            self._state.stop_cause = self._state.stop_cause or f"{member.name} was stopped by {message['cause']}"
            for other in self._present():
                _send(other, kind="stop", cause=message["cause"])
        elif kind == "leave":
            member.has_left = True
        if self._state.is_told and kind == "join":
            self._tell(member)

    def _look_for_lost(self, elapsed_s: float) -> None:
        for member in self._members:
            if not member.name or member.has_left:
                continue
            member.silent_s += elapsed_s
            member.closed_s += elapsed_s * member.is_closed
            if member.is_closed and member.closed_s > _SETTLING_S:
                self._lose(lost_message(member.name, None))
            elif not member.is_closed and member.silent_s > self._timeout_s:
                self._lose(lost_message(member.name, self._timeout_s))
        if self._state.stop_cause is not None and self._present():
            self._state.stopped_s += elapsed_s
            limit_s = _STOP_PATIENCE * self._timeout_s
            if self._state.stopped_s > limit_s:
                others = ", ".join(member.name for member in self._present())
                self._lose(f"{self._state.stop_cause}, but not within {limit_s:g} s {others}")

    def _lose(self, message: str) -> None:
        """An error that nobody prints but those who are asked to; or the end of one who was about to tell his own."""
        self.claim(message, -1)
        self.tell()


def _listen_everywhere() -> socket.socket:
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
    except OSError:  # compiled in, but switched off
        pass
    return socket.create_server(("", 0), backlog=1024)


def _send(member: _Member, **message: Any) -> None:
    # A closed connection shows when one reads from it, too, and a process that does not read in its silence.
    with contextlib.suppress(OSError):
        member.connection.sendall(json.dumps(message).encode() + b"\n")
