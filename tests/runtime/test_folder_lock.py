"""One run at a time writes to a folder, whatever became of those before it."""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from slowfast.errors import UserError
from slowfast.runtime import lock_holder
from slowfast.runtime.folder_lock import LOCK_NAME, FolderLock
from slowfast.runtime.interruption import Interrupted, stop_signals_noted
from slowfast.runtime.lock_holder import Holder
from tests.command_line import ROOT, run_commands

# Holds the lock of a folder until it is killed; the second word is Python that runs with it held.
HOLD = """
import sys, time
from pathlib import Path
from slowfast.runtime.folder_lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    exec(sys.argv[2])
"""


@contextmanager
def held_elsewhere(folder: Path, then: str = "time.sleep(60)") -> Iterator[subprocess.Popen]:
    """Another process that has the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), then], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def of_another_host(folder: Path, **changes: object) -> Holder:
    """Leave the lock of a process that cannot be asked."""
    holder = replace(Holder.this_process(), host="elsewhere", pid=17, since="2026-01-02 03:04:05+00:00", **changes)
    (folder / LOCK_NAME).write_bytes(holder.dump())
    return holder


def test_the_lock_is_there_for_as_long_as_the_context_and_says_whose_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    with FolderLock(tmp_path) as lock:
        content = json.loads((tmp_path / LOCK_NAME).read_text())
        assert (content["host"], content["pid"], content["job"]) == (socket.gethostname(), os.getpid(), "4711")
        assert content["since"] and content["renewed"]
        lock.check()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [UserError, Interrupted, KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_error_releases_it_and_a_folder_that_was_made_for_nothing_goes(tmp_path: Path, error: type[BaseException]):
    folder = tmp_path / "new" / "test"
    with pytest.raises(error), FolderLock(folder):
        assert folder.is_dir()
        raise error("")
    assert list(tmp_path.iterdir()) == []
    with FolderLock(folder):
        (folder / "report").write_text("")
    assert [path.name for path in folder.iterdir()] == ["report"]


def test_a_second_run_is_told_who_writes_there_and_what_to_do(tmp_path: Path):
    with held_elsewhere(tmp_path) as process:
        start = time.monotonic()
        with pytest.raises(UserError) as refusal, FolderLock(tmp_path):
            pass
        assert time.monotonic() - start < 1
        assert re.fullmatch(
            rf"{tmp_path} is in use: process {process.pid} on host {re.escape(socket.gethostname())}, since "
            rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00, writes there. Wait for its end, stop it, or choose another "
            rf"OUTPUT_DIR; if you know that it is gone, remove {tmp_path}/run.lock",
            str(refusal.value),
        )
        assert (tmp_path / LOCK_NAME).exists()


def test_a_killed_run_of_this_machine_keeps_nobody_waiting(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with held_elsewhere(tmp_path) as process:
        process.kill()  # and nobody asks yet how it ended: a zombie is no run either
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)
        start = time.monotonic()
        with caplog.at_level(logging.INFO, logger="slowfast"), FolderLock(tmp_path):
            assert time.monotonic() - start < 1
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"process {process.pid} on host" in line and line.endswith(
        "is gone and has left run.lock behind; taken over"
    )
    assert list(tmp_path.iterdir()) == []


def test_another_process_of_the_same_id_is_not_the_holder(tmp_path: Path):
    left = replace(Holder.this_process(), started="1")
    (tmp_path / LOCK_NAME).write_bytes(left.dump())
    with FolderLock(tmp_path):
        assert Holder.parse((tmp_path / LOCK_NAME).read_bytes()).id != left.id


@pytest.mark.parametrize("other", ["host", "kernel"], ids=["host", "container or start of the machine"])
def test_what_cannot_be_asked_is_gone_once_it_has_not_renewed_for_long(
    tmp_path: Path, other: str, caplog: pytest.LogCaptureFixture
):
    """A clock that is a day ahead or behind changes nothing."""
    for day_s in (-86400, 86400):
        holder = replace(Holder.this_process(), **{other: "elsewhere"})
        (tmp_path / LOCK_NAME).write_bytes(holder.dump())
        os.utime(tmp_path / LOCK_NAME, (time.time() + day_s,) * 2)
        start = time.monotonic()
        with caplog.at_level(logging.INFO, logger="slowfast"), FolderLock(tmp_path, stale_s=0.3):
            assert 0.3 <= time.monotonic() - start < 1.5
        first, second = (record.getMessage() for record in caplog.records)
        assert "waiting for up to 0.3 s whether process" in first and second.endswith("taken over")
        caplog.clear()


def test_what_cannot_be_asked_and_renews_is_not_gone(tmp_path: Path):
    holder = of_another_host(tmp_path, job="12")
    is_over = threading.Event()

    def renew() -> None:
        while not is_over.wait(0.2):
            os.utime(tmp_path / LOCK_NAME)

    thread = threading.Thread(target=renew)
    thread.start()
    start = time.monotonic()
    try:
        told = r"process 17 on host elsewhere \(SLURM job 12\), since 2026-01-02 03:04:05\+00:00, writes there"
        with pytest.raises(UserError, match=told), FolderLock(tmp_path, stale_s=30):
            pass
    finally:
        is_over.set()
        thread.join()
    assert time.monotonic() - start < 5, "the first renewal settles it"
    assert Holder.parse((tmp_path / LOCK_NAME).read_bytes()) == holder


def test_a_signal_ends_the_waiting(tmp_path: Path):
    of_another_host(tmp_path)
    with stop_signals_noted():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted), FolderLock(tmp_path, stale_s=60):
            pass


@pytest.mark.parametrize("content", [b"", b"\0\0", b"{", b'{"pid": "x"}', b"[]", b'{"id": "../../x"}'])
def test_a_file_that_nobody_can_read_is_gone_once_it_does_not_change(tmp_path: Path, content: bytes):
    (tmp_path / LOCK_NAME).write_bytes(content)
    with FolderLock(tmp_path, stale_s=0.2):
        assert Holder.parse((tmp_path / LOCK_NAME).read_bytes()).pid == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_renewed_in_place_and_made_again_if_it_was_removed(tmp_path: Path):
    with FolderLock(tmp_path, renew_s=0.02):
        path = tmp_path / LOCK_NAME
        first, size = path.stat().st_mtime_ns, path.stat().st_size
        while path.stat().st_mtime_ns == first:
            time.sleep(0.01)
        assert path.stat().st_size == size
        path.unlink()
        while not path.exists() or not path.read_bytes():
            time.sleep(0.01)
        assert Holder.parse(path.read_bytes()).pid == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_folder_was_taken_over_learns_it_and_leaves_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(lock_holder.socket, "gethostname", lambda: "suspended")
        suspended = FolderLock(tmp_path, renew_s=60).__enter__()
    with FolderLock(tmp_path, stale_s=0.2) as lock:
        with pytest.raises(UserError, match=rf"process {os.getpid()} on host .* has taken this folder over"):
            suspended.check()
        suspended._renew()
        suspended.__exit__()
        lock.check()
        assert Holder.parse((tmp_path / LOCK_NAME).read_bytes()).host == socket.gethostname()


@pytest.mark.slow
def test_a_process_that_ends_without_unwinding_releases_it_too(tmp_path: Path):
    """As one of several processes does when another one has failed."""
    then = "from slowfast.launch.heartbeat import end_process; end_process(3)"
    with held_elsewhere(tmp_path, then) as process:
        assert process.wait(60) == 3
        assert list(tmp_path.iterdir()) == []


def gone(**changes: object) -> Holder:
    """Of a process of this machine that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return replace(Holder.this_process(), pid=process.pid, **changes)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["nothing", "dead", "elsewhere", "empty", "dead claim"])
def test_of_runs_that_start_together_exactly_one_gets_the_folder(tmp_path: Path, case: str):
    dead = gone()
    left = {
        "nothing": [],
        "dead": [LOCK_NAME, dead.dump().decode()],
        "elsewhere": [LOCK_NAME, replace(dead, host="elsewhere").dump().decode()],
        "empty": [LOCK_NAME, ""],
        "dead claim": [LOCK_NAME, dead.dump().decode(), f"{LOCK_NAME}.after-{dead.id}", gone(id="a1").dump().decode()],
    }[case]
    num_rounds = 4 if case in ("elsewhere", "empty") else 15
    (outcome,) = run_commands([sys.executable, "-m", "tests.runtime.lock_race", tmp_path, num_rounds, *left])
    assert outcome.code == 0, outcome.err
    rounds = [json.loads(line) for line in outcome.out.splitlines()]
    assert [one["held"] for one in rounds] == [1] * num_rounds
    assert all("is in use: process" in error for one in rounds for error in one["errors"])
    assert [one["left"] for one in rounds] == [[]] * num_rounds


def test_the_bytes_of_a_lock_have_one_length():
    holder = Holder.this_process()
    assert asdict(Holder.parse(holder.dump())) == asdict(holder)
    assert len({len(holder.dump()) for _ in range(3)}) == 1
