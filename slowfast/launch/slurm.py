"""What a job asks of SLURM: to be queued again once it has been interrupted, and when it has really ended.

All of it goes through ``scontrol``, which every cluster has; accounting (``sacct``) is not needed.
"""

import logging
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass

from slowfast.runtime.interruption import stop_signal

logger = logging.getLogger(__name__)

# scontrol waits for a busy controller itself, for less than this.
TIMEOUT_S = 120
# States of a job that is over. The others, such as PENDING, COMPLETING and REQUEUED, lead to one of them.
END_STATES = {
    *("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "DEADLINE"),
    *("NODE_FAIL", "BOOT_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED"),
}


class SlurmError(RuntimeError):
    """SLURM gave no answer; the message is what its command printed."""


@dataclass(frozen=True)
class SlurmJob:
    """What SLURM says about a job.

    Args:
        state: such as RUNNING; COMPLETING while the processes of a cancelled, requeued or finished job end.
        is_requeueable: a batch job that was not submitted with --no-requeue.
        is_preempted: it has been told to make room, and is running out the time of grace that it got.
        exit_status: of the batch script; the number of the signal + 128 if one ended it.
    """

    state: str
    is_requeueable: bool
    is_preempted: bool
    exit_status: int


def requeue_job(cause: str = "") -> None:
    """Queue the SLURM job that this process is part of again, if it was interrupted and SLURM would let it end.

    To be called by one process of the job. Outside SLURM it does nothing. Nor does it where the job is not running any
    more, because it was cancelled, or SLURM has requeued it itself; where it may not be requeued (--no-requeue); and
    where SIGTERM came without pre-emption: then another of its processes has failed (srun's --kill-on-bad-exit), or
    somebody sent the signal by hand. The log says which.

    Args:
        cause: name of the signal that interrupted the job, such as "SIGTERM"; other texts tell nothing, and then it is
            the signal that this process has noted, if any.

    Raises:
        SlurmError: if SLURM refuses, so that the job does not seem to be done.
    """
    job_id = os.environ.get("SLURM_JOB_ID")
    if job_id is None:
        return
    job = load_job(job_id)
    if job is None:
        raise SlurmError(f"SLURM does not know its job {job_id}")
    reason = why_not_requeued(job, has_sigterm="SIGTERM" in (cause, _name(stop_signal())))
    if reason:
        logger.warning("job %s is not requeued: %s", job_id, reason)
        return
    # Said first: SLURM may end the processes before the command returns.
    logger.info("requeueing job %s", job_id)
    _scontrol("requeue", job_id)


def why_not_requeued(job: SlurmJob, *, has_sigterm: bool) -> str:
    """Why an interrupted job is to be left alone; "" if it is to be requeued.

    Args:
        job: its state.
        has_sigterm: SIGTERM interrupted it, rather than the signal that it asked for before its time limit.
    """
    if job.state != "RUNNING":
        return f"it is {job.state}, so it has been cancelled, or SLURM requeues it itself"
    if not job.is_requeueable:
        return "it may not be (--no-requeue, or no batch job); submit it again to resume"
    if has_sigterm and not job.is_preempted:
        return "SIGTERM came without pre-emption, because another of its processes failed or by hand"
    return ""


def load_job(job_id: str) -> SlurmJob | None:
    """Ask SLURM about a job; None if it knows none of that id (it forgets a job minutes after its end).

    Raises:
        SlurmError: if SLURM does not answer.
    """
    try:
        return parse_job(_scontrol("show", "job", job_id))
    except SlurmError as error:
        if "Invalid job id" in str(error):
            return None
        raise


def parse_job(text: str) -> SlurmJob:
    """Read what ``scontrol show job`` prints: words KEY=VALUE, of which the first line holds free text."""
    words = (word.partition("=") for line in text.splitlines()[1:] for word in line.split())
    values: dict[str, str] = {}
    for key, _, value in words:
        values.setdefault(key, value)  # the job's command, which may hold such words, too, comes late
    status, number = (int(part) for part in values.get("ExitCode", "0:0").split(":"))
    return SlurmJob(
        state=values["JobState"],
        is_requeueable=values.get("Requeue") == "1" and values.get("BatchFlag") != "0",
        is_preempted=re.match(r"\d", values.get("PreemptTime", "None")) is not None,
        exit_status=status or (128 + number if number else 0),
    )


def wait_for_end(job_id: str, interval_s: float = 10) -> SlurmJob | None:
    """Wait until a job is over for good, however often it is requeued.

    Results that a job leaves behind do not tell that: an interrupted one leaves them, too.

    Args:
        job_id: of a submitted job.
        interval_s: between two questions. SLURM remembers the end of a job for MinJobAge, by default 300 s.

    Returns:
        The job's last state; None if SLURM has forgotten the job meanwhile.
    """
    while True:
        try:
            job = load_job(job_id)
        except SlurmError as error:
            logger.warning("no news of job %s, asking again: %s", job_id, error)
        else:
            if job is None or job.state in END_STATES:
                return job
        time.sleep(interval_s)


def _name(number: signal.Signals | None) -> str:
    return "" if number is None else number.name


def _scontrol(*words: str) -> str:
    try:
        done = subprocess.run(
            ["scontrol", *words], check=False, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmError(f"scontrol {' '.join(words)}: {error}") from None
    if done.returncode != 0:
        raise SlurmError(f"scontrol {' '.join(words)}: {' '.join(done.stderr.split())}")
    return done.stdout
