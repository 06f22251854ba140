"""A real SLURM of two nodes on this machine: its daemons, a configuration of its own, and its commands.

Nothing outside a temporary folder is touched: munged, slurmctld and the two slurmd get their keys, spools, sockets and
free ports there, so that an installation of the machine's own goes on undisturbed.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
NODES = ("n1", "n2")
_SBIN = ("/usr/sbin", "/sbin", "/usr/local/sbin")
# Of the parts of a real cluster, those are left out that a sandbox or a container may lack: control groups, accounting.
# Two things are faster than SLURM's defaults: how soon a requeued job may start (when its old credential has expired)
# and how often the scheduler looks. Time limits are checked each 30 s, as everywhere; signals before them are as early.
_CONFIG = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool_%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd_%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd_%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
NodeName={nodes[0]} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=8000
NodeName={nodes[1]} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 RealMemory=8000
PartitionName=main Nodes={nodes[0]},{nodes[1]} Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes={nodes[0]},{nodes[1]} MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
"""


def why_no_cluster() -> str:
    """What keeps this machine from starting a cluster; "" if nothing does."""
    missing = [name for name in (*DAEMONS, "sbatch", "srun", "scontrol") if _program(name) is None]
    if missing:
        return f"SLURM is not installed ({', '.join(missing)} missing; Debian: apt-get install slurm-wlm munge)"
    if os.geteuid() != 0:
        return "slurmd has to be started by root"
    return ""


def until(condition: Callable[[], object], timeout_s: float, what: str, interval_s: float = 0.5) -> object:
    """Wait until a condition gives something true, and return that.

    Raises:
        TimeoutError: with ``what`` was waited for.
    """
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        time.sleep(interval_s)
    return value


class Cluster:
    """A running cluster.

    Args:
        folder: of its configuration, logs and spools.
        environment: variables with which the commands of SLURM, and whatever submits, reach it.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = dict(environment)

    def command(self, *words: object, check: bool = True) -> str:
        """Run one of SLURM's commands and return what it prints."""
        done = subprocess.run(
            list(map(str, words)), env=self.environment, check=False, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0 or not check, f"{words}: {done.stderr}\n{self.logs()}"
        return done.stdout

    def job(self, job_id: str) -> dict[str, str]:
        """What ``scontrol show job`` says, such as JobState and Restarts."""
        words = self.command("scontrol", "--oneliner", "show", "job", job_id).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait_for_state(self, job_id: str, *states: str, timeout_s: float = 120) -> dict[str, str]:
        """Wait for one of several states and return what is known about the job then."""

        def reached() -> dict[str, str] | None:
            job = self.job(job_id)
            return job if job["JobState"] in states else None

        try:
            return until(reached, timeout_s, " or ".join(states))
        except TimeoutError as error:
            raise AssertionError(f"{error}; it is {self.job(job_id)['JobState']}\n{self.logs()}") from None

    def pids_of_task(self, job_id: str, rank: int) -> list[int]:
        """The Python processes of one task of a job."""
        marks = {f"SLURM_CONF={self.environment['SLURM_CONF']}", f"SLURM_JOB_ID={job_id}", f"SLURM_PROCID={rank}"}
        return [
            pid for pid, words, variables in _processes() if marks <= variables and "submitit.core._submit" in words
        ]

    def logs(self) -> str:
        """The last lines of the daemons' logs, for a failure's message."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-30:])
            for path in sorted(self.folder.glob("*.log"))
        )

    def cancel_all(self) -> None:
        """End all jobs and wait until their processes are gone."""
        self.command("scancel", "--full", "--user=root", check=False)
        with contextlib.suppress(TimeoutError):
            until(lambda: not self.command("squeue", "--noheader").strip(), 60, "the queue to empty")


@contextlib.contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Start the daemons in an empty folder; at the end no process of theirs, or of a job, is left."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
    environment["SLURM_CONF"] = str(folder / "slurm.conf")
    cluster = Cluster(folder, environment)
    daemons: list[subprocess.Popen] = []
    try:
        _write_files(folder)
        daemons.append(_start(_munged(folder), folder, environment))
        until((folder / "munge.socket").exists, 20, "munged's socket", 0.1)
        daemons.append(_start([_program("slurmctld"), "-D", "-i"], folder, environment))
        daemons += [_start([_program("slurmd"), "-D", "-N", node], folder, environment) for node in NODES]
        _wait_until_idle(cluster, daemons)
        yield cluster
    finally:
        if len(daemons) > 1:
            cluster.cancel_all()
        _stop(reversed(daemons))
        _kill_strays(folder)


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN]))


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _write_files(folder: Path) -> None:
    host = socket.gethostname().split(".")[0]
    (folder / "slurm.conf").write_text(_CONFIG.format(folder=folder, host=host, ports=_free_ports(3), nodes=NODES))
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o600)
    folder.chmod(0o755)  # munged refuses a socket that others cannot reach
    for name in ("state", *(f"spool_{node}" for node in NODES)):
        (folder / name).mkdir()


def _munged(folder: Path) -> list[str]:
    files = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munge.pid"}
    files |= {"log-file": "munge.log", "seed-file": "munge.seed"}
    # --force: pytest's temporary folders lie in one that others cannot enter, which is no harm here.
    return [_program("munged"), "--foreground", "--force", *(f"--{key}={folder / name}" for key, name in files.items())]


def _start(words: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen:
    with (folder / "daemons.log").open("a") as log:
        return subprocess.Popen(words, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder)


def _wait_until_idle(cluster: Cluster, daemons: list[subprocess.Popen]) -> None:
    def idle() -> bool:
        dead = [process.args[0] for process in daemons if process.poll() is not None]
        assert not dead, f"{dead} ended\n{cluster.logs()}"
        states = cluster.command("sinfo", "--noheader", "--Node", "--partition=main", "--format=%T", check=False)
        return states.split() == ["idle"] * len(NODES)

    try:
        until(idle, 60, "two idle nodes")
    except TimeoutError as error:
        raise AssertionError(f"{error}\n{cluster.logs()}") from None


def _stop(processes: Iterator[subprocess.Popen]) -> None:
    for process in processes:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _processes() -> Iterator[tuple[int, list[str], set[str]]]:
    """Number, words and environment of each process that may be read."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal():
                words, variables = ((entry / name).read_text(errors="replace") for name in ("cmdline", "environ"))
                yield int(entry.name), words.split("\0"), set(variables.split("\0"))


def _kill_strays(folder: Path) -> None:
    """Kill what has outlived its daemon: processes, in whatever session, whose SLURM_CONF is that of ``folder``."""
    for pid, words, variables in _processes():
        if f"SLURM_CONF={folder}/slurm.conf" in variables:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            print(f"killed {pid} of {folder}: {' '.join(words)}", file=sys.stderr)
