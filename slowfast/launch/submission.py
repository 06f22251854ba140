"""Runs submitted to SLURM, or started in the background of this machine, through submitit.

Under SLURM each process of a run is one of submitit's tasks, which ``launch`` takes as what they are: tasks of srun. On
this machine there is one task, and ``launch`` starts the processes.
"""

import contextlib
import io
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from uuid import uuid4

import submitit
from fvcore.common.config import CfgNode
from submitit.core.utils import FailedJobError, pickle_load
from submitit.helpers import DelayedSubmission

from slowfast.config import load_config
from slowfast.config.command_line import exit_with_error
from slowfast.errors import UserError
from slowfast.launch.launch import Job, launch
from slowfast.launch.slurm import wait_for_end
from slowfast.runtime.files import make_folder, write_text
from slowfast.runtime.interruption import ignore_stop_signals

# submitit gives a job up after so many time-outs; a run may take any number of them.
ANY_NUMBER = 10**9
LOCAL_TIMEOUT_MIN = 365 * 24 * 60
_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class SubmissionOptions:
    """What a job asks of the cluster; None leaves it to the cluster.

    Args:
        cluster: slurm, or local for a job on this machine, which takes name, timeout_min and signal_delay_s alone.
        name: of the job.
        timeout_min: limit of its time in minutes; None is a day with slurm and none with local.
        signal_delay_s: seconds before the end of that at which it is told to save and requeue itself.
        is_requeueable: it may be requeued.
        partition, qos, account, comment, constraint, exclude: as sbatch takes them.
        mail: address that is told of the job's end, failure and requeueing.
        mem_gb: memory of each node in GB.
        cpus_per_task: cores of each process; None is DATA_LOADER.NUM_WORKERS + 1.
    """

    cluster: str = "slurm"
    name: str = "slowfast"
    timeout_min: int | None = None
    signal_delay_s: int = 120
    is_requeueable: bool = True
    partition: str | None = None
    qos: str | None = None
    account: str | None = None
    comment: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    mail: str | None = None
    mem_gb: float | None = None
    cpus_per_task: int | None = None


@dataclass(frozen=True)
class JobSize:
    """Nodes of a job, GPUs on each (a process for each, at least one), and cores of each process unless asked for."""

    nodes: int = 1
    gpus_per_node: int = 0
    cpus_per_task: int = 1


@dataclass(frozen=True)
class SubmittedJob:
    """What each process of a job does; it is pickled by name, with the path of a resolved config.

    Args:
        config_path: of the resolved config.
        job: as ``launch`` takes it; a module-level function, which is pickled by name, too.
    """

    config_path: str
    job: Job

    def __call__(self) -> None:
        """Do the job together with the other processes.

        Raises:
            SystemExit: non-zero after one line on standard error, if the user has made a mistake.
        """
        _forget_earlier_result()
        for name in _TORCHRUN:  # of whoever has submitted the job; they say nothing about its own processes
            os.environ.pop(name, None)
        try:
            cfg = load_config(self.config_path)
        except UserError as error:
            exit_with_error(error)
        launch(cfg, self.job)
        # The job is done. A signal before its time limit must not make it a failed one while its processes end.
        ignore_stop_signals()

    def checkpoint(self) -> DelayedSubmission:
        """What submitit requeues if it is told to stop in the seconds before ``launch`` listens to signals itself."""
        return DelayedSubmission(self)


def submit(cfg: CfgNode, folder: Path, options: SubmissionOptions, job: Job) -> submitit.Job[None]:
    """Submit a job.

    The job reads the config as it is now, from a copy in ``folder``, however often it starts again.

    Args:
        cfg: the whole config.
        folder: for submitit's files and the logs; made if missing. All nodes have to see it.
        options: what to ask of the cluster.
        job: what each process does, as ``launch`` takes it.

    Returns:
        The submitted job.

    Raises:
        UserError: if there is no SLURM, it refuses the job, or the options do not fit the cluster.
    """
    size = JobSize(cfg.NUM_SHARDS, cfg.NUM_GPUS, cfg.DATA_LOADER.NUM_WORKERS + 1)
    executor = _executor(folder, options, size)
    config_path = folder.resolve() / f"config_{uuid4().hex[:8]}.yaml"
    write_text(config_path, cfg.dump(), "choose another --job_dir")
    try:
        with _refusals_told():
            return executor.submit(SubmittedJob(str(config_path), job))
    except UserError:
        config_path.unlink()
        raise


@dataclass(frozen=True)
class SubmittedCommand:
    """One job of an array; it is pickled by name.

    Args:
        command: takes words of a command line; a module-level function. What it has done it does not do again.
        words: for it.
    """

    command: Callable[[Sequence[str]], None]
    words: tuple[str, ...]

    def __call__(self) -> None:
        """Do it.

        Raises:
            SystemExit: as the command does.
        """
        _forget_earlier_result()
        self.command(self.words)

    def checkpoint(self) -> DelayedSubmission:
        """What submitit requeues if it is told to stop."""
        return DelayedSubmission(self)


def submit_array(
    commands: Sequence[SubmittedCommand], folder: Path, options: SubmissionOptions, size: JobSize
) -> list[submitit.Job[None]]:
    """Submit commands as the jobs of one array, each of one node.

    Args:
        commands: of the jobs.
        folder, options: as of ``submit``.
        size: of each job.

    Raises:
        UserError: as ``submit``.
    """
    executor = _executor(folder, options, size)
    with _refusals_told(), executor.batch():
        jobs = [executor.submit(command) for command in commands]
    return jobs


def _executor(folder: Path, options: SubmissionOptions, size: JobSize) -> submitit.Executor:
    """Of the cluster that is asked for; its folder is made."""
    _check_options(options, size)
    make_folder(folder, "choose another --job_dir")
    return (_local_executor if options.cluster == "local" else _slurm_executor)(folder, options, size)


@contextlib.contextmanager
def _refusals_told() -> Iterator[None]:
    """SLURM's refusal in one line."""
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):  # submitit prints there what it raises, too
            yield
    except FailedJobError as error:
        raise UserError(f"SLURM refuses the job: {' '.join(str(error).split())}") from None


def wait(job: submitit.Job[None]) -> tuple[str, int]:
    """Wait for the end of a job, through all its restarts.

    Returns:
        Its last state in words and an exit status, 0 only if it completed.
    """
    if isinstance(job, submitit.LocalJob):
        job.wait()
        tasks = [job.task(i).paths.result_pickle for i in range(job.num_tasks)]
        has_completed = all(path.exists() and pickle_load(path)[0] == "success" for path in tasks)
        return ("COMPLETED", 0) if has_completed else ("FAILED", 1)
    end = wait_for_end(job.job_id)
    if end is None:
        return "no longer known to SLURM", 1
    return end.state, end.exit_status if end.state == "COMPLETED" else end.exit_status or 1


def _check_options(options: SubmissionOptions, size: JobSize) -> None:
    if options.timeout_min is not None and options.signal_delay_s >= 60 * options.timeout_min:
        raise UserError(
            f"--signal_delay_s {options.signal_delay_s} leaves nothing of --timeout_min {options.timeout_min}; "
            f"accepted: less than {60 * options.timeout_min}"
        )
    if options.cluster == "slurm":
        if shutil.which("sbatch") is None:
            raise UserError("there is no SLURM here (sbatch is not found); --cluster local runs the job without it")
        return
    if size.nodes > 1:
        raise UserError(
            f"--cluster local is this machine alone, but NUM_SHARDS is {size.nodes}; use --num_shards 1, or SLURM"
        )
    own = {"cluster", "name", "timeout_min", "signal_delay_s", "is_requeueable"}
    for field in fields(options):
        value = getattr(options, field.name)
        if field.name not in own and value is not None:
            raise UserError(f"--{field.name} {value} is for SLURM; leave it out with --cluster local")


def _slurm_executor(folder: Path, options: SubmissionOptions, size: JobSize) -> submitit.SlurmExecutor:
    cpus = options.cpus_per_task or size.cpus_per_task
    asked: dict[str, object] = {
        "job_name": options.name,
        "nodes": size.nodes,
        "ntasks_per_node": max(size.gpus_per_node, 1),
        "gpus_per_node": size.gpus_per_node or None,
        "cpus_per_task": cpus,
        "mem": None if options.mem_gb is None else f"{options.mem_gb * 1024:.0f}M",
        "time": 24 * 60 if options.timeout_min is None else options.timeout_min,
        "signal_delay_s": options.signal_delay_s,
        "wckey": None,
        "mail_user": options.mail,
        "mail_type": "END,FAIL,REQUEUE" if options.mail else None,
        "additional_parameters": {"requeue" if options.is_requeueable else "no-requeue": True},
        # From 22.05 on srun does not take the cores over from sbatch. One process that fails ends the others.
        "srun_args": [f"--cpus-per-task={cpus}", "--kill-on-bad-exit=1"],
    }
    for name in ("partition", "qos", "account", "comment", "constraint", "exclude"):
        asked[name] = getattr(options, name)
    executor = submitit.SlurmExecutor(folder, max_num_timeout=ANY_NUMBER)
    executor.update_parameters(**asked)
    return executor


def _local_executor(folder: Path, options: SubmissionOptions, size: JobSize) -> submitit.LocalExecutor:
    executor = submitit.LocalExecutor(folder, max_num_timeout=ANY_NUMBER)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")  # else submitit takes the first GPUs, in use or not
    executor.update_parameters(
        tasks_per_node=1,
        gpus_per_node=size.gpus_per_node,
        visible_gpus=[int(gpu) for gpu in visible] if size.gpus_per_node and all(map(str.isdecimal, visible)) else (),
        timeout_min=options.timeout_min or LOCAL_TIMEOUT_MIN,
        signal_delay_s=options.signal_delay_s,
    )
    return executor


def _forget_earlier_result() -> None:
    """Remove what an interrupted start of this job has left: its result, and a half-written one."""
    path = submitit.JobEnvironment().paths.result_pickle
    for stale in (path, path.with_suffix(path.suffix + ".save_tmp")):
        stale.unlink(missing_ok=True)
