"""Jobs that nothing interrupts: what the tool says, what it asks SLURM for, and how mistakes show."""

import json
import re
from pathlib import Path

import pytest

from tests.slurm.conftest import STEPS_PER_EPOCH, Submit, SubmittedRun

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def test_two_nodes_train_and_test_together(first_run: SubmittedRun):
    log = (first_run.output_dir / "submitit" / f"{first_run.job_id}_0_log.out").read_text()
    assert "on each of 2 nodes" in log and "2 processes" in log
    assert first_run.steps() == list(range(1, 2 * STEPS_PER_EPOCH + 1))
    report = json.loads((first_run.output_dir / "test" / "report.json").read_text())
    assert (report["expected"], report["scored"], report["failed"]) == (6, 6, 0)


def test_the_tool_says_how_to_follow_and_cancel_and_waits(first_run: SubmittedRun):
    folder, number = first_run.output_dir / "submitit", first_run.job_id
    lines = first_run.printed.splitlines()
    assert lines[0] == f"job {number}: nodes 2, processes on each 1, GPUs on each 0"
    assert lines[1] == f"job folder: {folder}"
    assert lines[2].startswith("follow: tail -F ") and f"{folder}/{number}_0_log.out" in lines[2]
    assert lines[3:] == [f"cancel: scancel {number}", f"job {number}: COMPLETED"]


def test_slurm_gets_what_the_options_say(submit: Submit):
    options = ["--partition", "urgent", "--timeout_min", 77, "--signal_delay_s", 33, "--mem_gb", 1.25, "--name", "n"]
    options += ["--comment", "a comment", "--cpus_per_task", 3, "--no-requeue", "--exclude", "n2", "--num_shards", 1]
    run = submit(options, ["SOLVER.MAX_EPOCH", 1])
    job = run.cluster.job(run.job_id)
    run.cluster.command("scancel", run.job_id)
    expected = {"Partition": "urgent", "TimeLimit": "01:17:00", "JobName": "n", "Requeue": "0", "ExcNodeList": "n2"}
    expected |= {"CPUs/Task": "3", "NumNodes": "1", "MinMemoryNode": "1280M"}
    assert {key: job[key] for key in expected} == expected
    script = (run.output_dir / "submitit" / f"{run.job_id}_submission.sh").read_text()
    assert "#SBATCH --comment='a comment'" in script and "#SBATCH --signal=USR2@33" in script


def test_a_mistake_that_shows_in_the_job_fails_it_with_one_line(submit: Submit, tmp_path: Path):
    missing = tmp_path / "nowhere"
    options = ["--wait", "--num_shards", 1, "--timeout_min", 5]
    run = submit(options, ["DATA.PATH_TO_DATA_DIR", missing], expected_status=1)
    error_log = (run.output_dir / "submitit" / f"{run.job_id}_0_log.err").read_text()
    (line,) = re.findall(r"^error: .*", error_log, re.MULTILINE)
    assert str(missing) in line and "Traceback" not in error_log
    assert run.cluster.job(run.job_id)["JobState"] == "FAILED"
    assert re.search(rf"^error: job {run.job_id}: FAILED; see \S+.*_0_log.err", run.printed, re.MULTILINE)
    assert f"{run.job_id}: COMPLETED" not in run.printed


def test_a_job_that_slurm_refuses_is_told_in_one_line(submit: Submit, cluster):
    with pytest.raises(AssertionError, match=r"error: SLURM refuses the job: .*invalid partition specified: none"):
        submit(["--partition", "none"], ["SOLVER.MAX_EPOCH", 1])
