"""The process that holds a lock, as the lock's file tells it, and whether it lives."""

import contextlib
import json
import os
import socket
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

_PROC = Path("/proc")


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        id: of this lock, unlike all others.
        host: name of the machine.
        kernel: its start and the processes that see each other, as the system names them; "" where it does not.
        pid: id of the process.
        started: when the process did, in the system's ticks, which a later process of that id does not share; "" where
            the system does not tell.
        job: id of the SLURM job; "" outside one.
        since: when the lock was taken, by the holder's clock.
    """

    id: str
    host: str
    kernel: str
    pid: int
    started: str
    job: str
    since: str

    @classmethod
    def this_process(cls) -> "Holder":
        """The process that calls this, with a new id."""
        return cls(
            id=uuid4().hex[:12],
            host=socket.gethostname(),
            kernel=_kernel(),
            pid=os.getpid(),
            started=_process_state(os.getpid())[1],
            job=os.environ.get("SLURM_JOB_ID", ""),
            since=_now(),
        )

    @classmethod
    def parse(cls, content: bytes) -> "Holder":
        """Read what ``dump`` wrote; of anything else, such as a file that is just being written, a nameless holder."""
        try:
            values = json.loads(content)
            holder = cls(**{field.name: field.type(values[field.name]) for field in fields(cls)})
            if holder.id.isalnum():  # it becomes a part of a file's name
                return holder
        except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
            pass
        return cls("unknown", "", "", 0, "", "", "")

    def dump(self) -> bytes:
        """One line of JSON with the time of now beside; always of the same length."""
        return (json.dumps(asdict(self) | {"renewed": _now()}) + "\n").encode()

    def is_alive(self) -> bool | None:
        """Whether the process lives; None for one of another machine or container, which cannot be asked."""
        if self.pid < 1 or (self.host, self.kernel) != (socket.gethostname(), _kernel()):
            return None
        state, started = _process_state(self.pid)
        if started:
            return state != "Z" and started == self.started
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except OSError:  # of another user, whom the system hides
            return None
        return True

    def __str__(self) -> str:
        if not self.pid:
            return "an unknown process"
        job = f" (SLURM job {self.job})" if self.job else ""
        return f"process {self.pid} on host {self.host}{job}, since {self.since},"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(sep=" ", timespec="seconds")


def _kernel() -> str:
    """Tells apart two starts of a machine, two machines of one name, and containers of one machine."""
    with contextlib.suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink(_PROC / 'self/ns/pid')}"
    return ""


def _process_state(pid: int) -> tuple[str, str]:
    """A process's state, "Z" if it has ended and nobody has asked how, and its start in ticks; "" if unknown."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return "", ""
    values = text.rpartition(")")[2].split()  # after the name, which may hold anything
    return values[0], values[19]
