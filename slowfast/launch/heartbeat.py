"""A process's side of the heartbeat: it shows that it lives, tells its error first or not at all, and ends with all."""

import contextlib
import json
import multiprocessing
import os
import re
import select
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import torch.distributed as dist

from slowfast.errors import UserError
from slowfast.launch.heartbeat_server import INTERVAL_S, HeartbeatServer, lost_message
from slowfast.launch.process_group import Group, rendezvous_address
from slowfast.runtime.folder_lock import release_held_locks
from slowfast.runtime.interruption import raise_if_stopped

# After another's error the main thread may end by itself for this time; NCCL's collectives never do.
GRACE_S = 5.0
# Who runs the server stays this long after an error, until all others have heard of it.
LINGER_S = 8.0
# How long an error that a lost connection may have caused waits for the error that made it so.
_CAUSE_S = 4.0
_STORE_KEY = "heartbeat server"
# What collectives end with when another process is gone.
_CONNECTION_ERRORS = re.compile(r"gloo|nccl|connection (closed|reset|refused)|broken pipe|aborted", re.IGNORECASE)


@dataclass(frozen=True)
class ServerAddress:
    """Where the heartbeat server is, what one says to be let in, and who runs it."""

    host: str
    port: int
    token: str
    served_by: str


def open_server(store: dist.Store, init_method: str, *, size: int, timeout_s: float, served_by: str) -> HeartbeatServer:
    """Run the heartbeat server of a group, and leave its address in the store."""
    host = _own_address() if init_method.startswith("file://") else rendezvous_address(init_method)[0]
    is_local = host in ("127.0.0.1", "localhost")
    server = HeartbeatServer(size=size, timeout_s=timeout_s, is_local=is_local)
    store.set(_STORE_KEY, json.dumps([host, server.port, server.token, served_by]))
    return server


def find_server(store: dist.Store) -> ServerAddress:
    """The heartbeat server's address, waiting for it.

    Raises:
        Interrupted: if this process is asked to stop meanwhile.
    """
    while not store.check([_STORE_KEY]):
        raise_if_stopped()
        time.sleep(0.05)
    return ServerAddress(*json.loads(store.get(_STORE_KEY)))


def _own_address() -> str:
    """A name of this machine that resolves."""
    try:
        socket.getaddrinfo(socket.gethostname(), None)
        return socket.gethostname()
    except OSError:
        return "127.0.0.1"


def process_name(rank: int) -> str:
    """How messages name a process of this machine."""
    return f"rank {rank} (host {socket.gethostname()})"


class Heartbeat:
    """The other processes, from where one stands; watches them from a thread until ``leave`` or ``fail``.

    Args:
        group: where this process stands.
        server: the group's heartbeat server.
        timeout_s: silence of the server after which it counts as lost.
        before_end: called in this process before it ends because of an error; who runs the server lingers here.

    Raises:
        UserError: if nobody is there.
    """

    def __init__(
        self, group: Group, server: ServerAddress, *, timeout_s: float, before_end: Callable[[], object] = lambda: None
    ) -> None:
        self._group, self._server, self._timeout_s, self._before_end = group, server, timeout_s, before_end
        self._name = process_name(group.rank)
        self._lock = threading.Lock()
        self._num_joined = 0
        self._first: str | None = None
        self.stop_cause: str | None = None
        self._is_granted, self._has_news, self._is_over = threading.Event(), threading.Event(), threading.Event()
        self._is_failing = self._is_joining = False
        self._connection = self._connect()
        # Workers that load data would keep the connection of a process open that has been killed.
        os.register_at_fork(after_in_child=self._connection.close)
        self._send("join", token=server.token, name=self._name, node_idx=group.node_idx)
        self._thread = threading.Thread(target=self._watch, name="heartbeat", daemon=True)
        self._thread.start()

    def _connect(self) -> socket.socket:
        try:
            return socket.create_connection((self._server.host, self._server.port), timeout=30)
        except OSError as error:
            raise UserError(
                f"{self._server.served_by} does not answer at {self._server.host}:{self._server.port} ({error}); do "
                f"firewalls let nodes reach each other, and is {self._group.init_method} not left over from an earlier "
                f"run?"
            ) from error

    def wait_for_all(self, timeout_s: float) -> None:
        """Wait until every process is there.

        Raises:
            UserError: if some are missing after the time.
            Interrupted: if this process is asked to stop meanwhile.
        """
        deadline = time.monotonic() + timeout_s
        self._is_joining = True
        while self._num_joined < self._group.size:
            raise_if_stopped()
            if time.monotonic() > deadline:
                raise UserError(
                    f"{self._num_joined} of {self._group.size} processes have come to {self._group.init_method} within "
                    f"{timeout_s:g} s; start all NUM_SHARDS nodes with the same command but for --shard_id"
                )
            time.sleep(0.02)
        self._is_joining = False

    def leave(self) -> None:
        """End the watch; the others go on without this process."""
        self._is_over.set()
        self._thread.join(timeout=1)
        self._send("leave")
        self._connection.close()

    def tell_stopped(self, cause: str) -> None:
        """Say that this process stops because it was asked to, so that the others' lost connections are no errors."""
        self._send("stop", cause=cause)

    def is_stopped_with(self, error: BaseException) -> bool:
        """Whether an error comes from a lost connection to a process that was asked to stop; waits for its word."""
        if is_lost_connection(error):
            self._has_news.wait(_CAUSE_S)
        return self.stop_cause is not None and is_lost_connection(error)

    def fail(self, error: BaseException) -> NoReturn:
        """End this process with status 1 because of its error, which is printed if it is the first of all.

        An error that may come from another's end waits for that one's.
        """
        self._is_failing = True
        headline, text = describe(error, self._name)
        if is_lost_connection(error):
            self._has_news.wait(_CAUSE_S)
        if self._first is None:
            self._send("claim", message=headline)
            deadline = time.monotonic() + 10
            while not (self._is_granted.wait(0.02) or self._first is not None or time.monotonic() > deadline):
                if self._is_over.is_set():  # nobody is there to decide
                    break
            if self._first is None:
                print_error(text)
                self._send("told")
        self._end()

    def _end(self) -> NoReturn:
        """End the process after an error, once who runs the server has told everyone else."""
        self._send("leave")
        self._before_end()
        end_process(1)

    # What follows runs in the thread

    def _watch(self) -> None:
        unread, then = b"", time.monotonic()
        interval_s = min(INTERVAL_S, self._timeout_s / 5)
        silent_s = since_ping_s = since_first_s = 0.0
        is_answered = True
        while not self._is_over.is_set():
            readable, _, _ = select.select([self._connection], [], [], 0.1)
            now = time.monotonic()
            # Time in which this process itself was stopped is held against nobody.
            elapsed_s, then = min(now - then, 0.5), now
            silent_s += elapsed_s
            since_ping_s += elapsed_s
            since_first_s += elapsed_s * (self._first is not None)
            if readable:
                data = self._receive()
                if not data:
                    self._server_is_lost(None)
                    return
                *lines, unread = (unread + data).split(b"\n")
                for line in lines:
                    is_answered |= self._handle(json.loads(line))
                silent_s = 0.0
            if is_answered and since_ping_s >= (0.0 if self._is_joining else interval_s):
                self._send("ping")
                is_answered, since_ping_s = False, 0.0
            if silent_s > self._timeout_s:
                self._server_is_lost(self._timeout_s)
                return
            if since_first_s > GRACE_S * (5 if self._is_failing else 1):
                self._end()

    def _handle(self, message: dict[str, Any]) -> bool:
        """Take note of a message; returns whether it answers a ping."""
        kind = message["kind"]
        if kind == "granted":
            self._is_granted.set()
        elif kind == "first":
            if message["is_speaker"]:
                print_error(f"error: {message['message']}")
            self._first = message["message"]
            self._has_news.set()
        elif kind == "stop":
            self.stop_cause = message["cause"]
            self._has_news.set()
        elif kind == "pong":
            self._num_joined = message["num_joined"]
        return kind == "pong"

    def _server_is_lost(self, silent_s: float | None) -> None:
        """End, unless this process is about to; one process per node says why."""
        if silent_s is None:
            self._is_over.wait(1.0)
        if self._is_over.is_set() or (self._first is not None and self._is_failing):
            self._is_over.set()
            return
        if self._first is None:
            self._first = lost_message(self._server.served_by, silent_s)
            # Where rank 0 itself runs the server, the first node's other processes start with local rank 1.
            is_beside_server = self._group.node_idx == 0 and self._server.served_by.startswith("rank ")
            if self._group.local_rank == int(is_beside_server):
                print_error(f"error: {self._first}")
            self._has_news.set()
            if not self._is_failing:
                time.sleep(GRACE_S)
        end_process(1)

    def _receive(self) -> bytes:
        try:
            return self._connection.recv(65536)
        except OSError:
            return b""

    def _send(self, kind: str, **content: Any) -> None:
        with self._lock, contextlib.suppress(OSError):  # the thread notices a closed connection by itself
            self._connection.sendall(json.dumps({"kind": kind, **content}).encode() + b"\n")


def is_lost_connection(error: BaseException) -> bool:
    """Whether an error looks like that of a collective which misses another process."""
    if isinstance(error, UserError) or not isinstance(error, RuntimeError | OSError):
        return False
    return isinstance(error, dist.DistError) or _CONNECTION_ERRORS.search(str(error)) is not None


def describe(error: BaseException, name: str) -> tuple[str, str]:
    """An error as one line for other nodes, and as what its own process prints."""
    if isinstance(error, UserError):
        return f"{name}: {error}", f"error: {error}"
    if isinstance(error, KeyboardInterrupt):
        return f"{name} was interrupted from the keyboard", f"error: {name} was interrupted from the keyboard"
    if isinstance(error, SystemExit):
        return f"{name} ended with status {error.code}", f"error: {name} ended with status {error.code}"
    cause = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    headline = f"{name} failed with {cause}"
    return headline, f"error: {headline}\n{''.join(traceback.format_exception(error))}".rstrip()


def print_error(text: str) -> None:
    """Print in one piece, so that lines of several processes do not mix."""
    _flush_output()
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _flush_output() -> None:
    with contextlib.suppress(OSError):  # a full disk, or nobody who reads
        sys.stdout.flush()


def end_process(status: int) -> NoReturn:
    """End this process now, from any thread, whatever the main thread waits for; and the workers that load its data."""
    for child in multiprocessing.active_children():
        child.kill()
    release_held_locks()
    _flush_output()
    sys.stderr.flush()
    os._exit(status)
