"""tools/submit.py without SLURM: jobs of this machine, what it refuses, and how scontrol is read."""

import re
import sys
from pathlib import Path

import pytest

from slowfast.launch.slurm import SlurmJob, parse_job, requeue_job, why_not_requeued
from tests.command_line import ROOT, Outcome, run_commands, run_tool, tiny_arguments

SUBMIT = ROOT / "tools" / "submit.py"
RUNNING = SlurmJob(state="RUNNING", is_requeueable=True, is_preempted=False, exit_status=0)
# As scontrol of SLURM 22.05 prints it.
SHOWN = """\
JobId=12 JobName=JobState=FAILED Requeue=0
   UserId=root(0) GroupId=root(0) MCS_label=N/A
   Priority=4294901749 Nice=0 Account=(null) QOS=(null)
   JobState=RUNNING Reason=None Dependency=(null)
   Requeue=1 Restarts=2 BatchFlag=1 Reboot=0 ExitCode=0:0
   RunTime=00:00:05 TimeLimit=00:10:00 TimeMin=N/A
   PreemptEligibleTime=2026-11-21T13:21:24 PreemptTime=None
   Command=/some/where/script.sh JobState=COMPLETED
   WorkDir=/some/where
"""


def refused_submission(*arguments: object) -> str:
    """The one line with which the tool refuses to submit."""
    outcome = run_tool("submit", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    return line.removeprefix("error: ")


# Jobs of this machine


@pytest.mark.slow
def test_a_local_job_trains_and_tests_and_tells_its_status(video_set: Path, tmp_path: Path):
    arguments = tiny_arguments(video_set, tmp_path / "a run", "SOLVER.MAX_EPOCH", 1)
    # Whoever submits may himself be a process of torchrun, which is nothing to the job.
    inherited = {"LOCAL_RANK": "1", "RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    command = [sys.executable, SUBMIT, "--cluster", "local", "--wait", *arguments]
    (outcome,) = run_commands(command, environment=inherited)
    assert outcome.code == 0, outcome.err
    lines, folder = outcome.out.splitlines(), tmp_path / "a run" / "submitit"
    number = re.fullmatch(r"job (\d+): nodes 1, processes on each 1, GPUs on each 0", lines[0])[1]
    log = folder / f"{number}_0_log.out"
    assert lines[1:] == [
        f"job folder: {folder}",
        f"follow: tail -F '{log}' '{log.with_suffix('.err')}'",
        f"cancel: kill {number}",
        f"job {number}: COMPLETED",
    ]
    assert "(6 expected, 0 failed)" in log.read_text()
    assert (tmp_path / "a run" / "test" / "report.json").exists()


@pytest.mark.slow
def test_a_mistake_that_shows_in_a_local_job_fails_it_with_one_line(video_set: Path, tmp_path: Path):
    arguments = tiny_arguments(video_set, tmp_path / "run", "DATA.PATH_TO_DATA_DIR", tmp_path / "nowhere")
    (outcome,) = run_commands([sys.executable, SUBMIT, "--cluster", "local", "--wait", *arguments])
    assert re.fullmatch(r"job \d+: FAILED; see \S+_0_log.out and \S+_0_log.err", outcome.error)
    (log,) = (tmp_path / "run" / "submitit").glob("*_0_log.err")
    found = Outcome(outcome.code, "", log.read_text())
    assert str(tmp_path / "nowhere") in found.error


# Refused before anything is submitted


@pytest.mark.parametrize(
    ("options", "overrides", "message"),
    [
        (["--num_shards", 2, "--cluster", "local"], [], r"--cluster local is this machine alone, but NUM_SHARDS is 2;"),
        (["--num_shards", 2], ["NUM_SHARDS", 3], r"--num_shards 2 contradicts NUM_SHARDS 3; leave one of them out"),
        (["--num_gpus", 8], ["NUM_GPUS", 0], r"--num_gpus 8 contradicts NUM_GPUS 0; leave one of them out"),
        (
            ["--cluster", "local", "--partition", "p"],
            [],
            r"--partition p is for SLURM; leave it out with --cluster loc",
        ),
        (["--cluster", "local", "--mem_gb", 3], [], r"--mem_gb 3.0 is for SLURM; leave it out with --cluster local"),
        (["--timeout_min", 2], [], r"--signal_delay_s 120 leaves nothing of --timeout_min 2; accepted: less than 120"),
        ([], ["SOLVER.BASE_LRR", 1], r"command line: unknown key SOLVER.BASE_LRR; the nearest known key is SOLVER.BAS"),
    ],
)
def test_a_submission_that_cannot_work_is_refused(
    options: list,
    overrides: list,
    message: str,
    tmp_path: Path,
):
    arguments = [*options, *tiny_arguments(tmp_path, tmp_path / "run", *overrides)]
    assert re.match(message, refused_submission(*arguments))
    assert not (tmp_path / "run").exists()


def test_without_slurm_the_tool_names_the_way_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    line = refused_submission(*tiny_arguments(tmp_path, tmp_path / "run"))
    assert line == "there is no SLURM here (sbatch is not found); --cluster local runs the job without it"


def test_the_last_of_a_key_counts_and_sizes_may_be_said_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    overrides = ["--", "NUM_GPUS", 8, "NUM_SHARDS", 2, "NUM_GPUS", 0]
    line = refused_submission("--num_gpus", 0, "--num_shards", 2, *overrides)
    assert line.startswith("there is no SLURM here")


# What SLURM says


def test_what_scontrol_shows_is_read_past_free_text():
    assert parse_job(SHOWN) == RUNNING
    preempted = SHOWN.replace("PreemptTime=None", "PreemptTime=2026-11-21T13:21:28")
    assert parse_job(preempted).is_preempted
    assert not parse_job(SHOWN.replace("   Requeue=1", "   Requeue=0")).is_requeueable
    assert not parse_job(SHOWN.replace("BatchFlag=1", "BatchFlag=0")).is_requeueable
    failed = SHOWN.replace("JobState=RUNNING", "JobState=FAILED").replace("ExitCode=0:0", "ExitCode=3:0")
    assert parse_job(failed) == SlurmJob("FAILED", True, False, 3)
    assert parse_job(SHOWN.replace("ExitCode=0:0", "ExitCode=0:9")).exit_status == 137


@pytest.mark.parametrize(
    ("job", "has_sigterm", "reason"),
    [
        (RUNNING, False, ""),
        (SlurmJob("RUNNING", True, is_preempted=True, exit_status=0), True, ""),
        (RUNNING, True, "SIGTERM came without pre-emption, because another of its processes failed or by hand"),
        (SlurmJob("COMPLETING", True, False, 0), False, "it is COMPLETING, so it has been cancelled, or SLURM requeue"),
        (SlurmJob("PENDING", True, False, 0), True, "it is PENDING, so it has been cancelled, or SLURM requeues it"),
        (SlurmJob("RUNNING", False, False, 0), False, "it may not be (--no-requeue, or no batch job); submit it again"),
    ],
)
def test_only_a_job_that_slurm_would_let_end_is_requeued(job: SlurmJob, has_sigterm: bool, reason: str):
    told = why_not_requeued(job, has_sigterm=has_sigterm)
    assert told.startswith(reason) and bool(told) == bool(reason)


def test_outside_slurm_nothing_is_requeued(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))  # scontrol would not be found
    requeue_job()


def test_the_tool_explains_its_options():
    outcome = run_tool("submit", "--help")
    options = set(re.findall(r"--[a-z_-]+", outcome.out))
    expected = "cfg num_shards num_gpus partition timeout_min qos account comment mail constraint mem_gb cpus_per_task"
    expected += " exclude requeue no-requeue wait cluster job_dir name signal_delay_s"
    assert outcome.code == 0 and options >= {f"--{name}" for name in expected.split()}
