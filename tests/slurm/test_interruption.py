"""Jobs of two nodes that SLURM or its user interrupts: they resume where they stood, or stay ended, as they should."""

import os
import re
import signal
import time

import pytest
import torch

from tests.slurm.conftest import LONG_IN_SHORT, STEPS_PER_EPOCH, Submit, SubmittedRun

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def assert_as_uninterrupted(run: SubmittedRun, uninterrupted: SubmittedRun, num_epochs: int) -> None:
    """Every step was taken once, in order, and the weights at the end are the same to the bit."""
    assert run.steps() == list(range(1, num_epochs * STEPS_PER_EPOCH + 1))
    assert [line["step"] for line in run.metrics("train")] == run.steps()
    losses, expected_losses = ([line["loss"] for line in r.metrics("train")] for r in (run, uninterrupted))
    assert losses == expected_losses[: len(losses)]
    weights, expected = run.weights(num_epochs), uninterrupted.weights(num_epochs)
    assert weights.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(weights[name], expected[name])] == []


def resumed_steps(run: SubmittedRun) -> list[int]:
    """How many steps were done each time that the run resumed."""
    found = re.findall(r"resuming from \S*.*/checkpoint_last.pyth: (\d+) epochs and (\d+) steps done", run.log)
    return [int(epochs) * STEPS_PER_EPOCH + int(steps) for epochs, steps in found]


def test_a_signal_makes_a_job_save_and_requeue_itself(
    submit: Submit, short_overrides: list[object], short_epochs: int, uninterrupted: SubmittedRun
):
    run = submit(["--timeout_min", 10], short_overrides)
    run.wait_for_step(STEPS_PER_EPOCH + 10)  # within an epoch
    run.cluster.command("scancel", "--signal=USR2", run.job_id)
    run.wait_for_restart()
    job = run.wait_for_completion()
    assert job["Restarts"] == "1"
    assert f"requeueing job {run.job_id}" in run.log
    (resumed,) = resumed_steps(run)
    assert resumed > STEPS_PER_EPOCH + 10 and resumed % STEPS_PER_EPOCH != 0
    assert_as_uninterrupted(run, uninterrupted, short_epochs)


def test_a_job_goes_on_after_each_time_out(
    submit: Submit, long_overrides: list[object], short_epochs: int, uninterrupted: SubmittedRun
):
    """SLURM looks at time limits each 30 s, and signals a job that has less than 30 s + 10 s of its minute left."""
    run = submit(["--timeout_min", 1, "--signal_delay_s", 10], long_overrides)
    job = run.wait_for_completion(timeout_s=400)
    assert int(job["Restarts"]) >= 1
    assert run.log.count(f"requeueing job {run.job_id}") == int(job["Restarts"]) == len(resumed_steps(run))
    assert_as_uninterrupted(run, uninterrupted, LONG_IN_SHORT * short_epochs)


def test_a_job_that_its_user_requeues_goes_on_where_it_stood(
    submit: Submit, short_overrides: list[object], short_epochs: int, uninterrupted: SubmittedRun
):
    run = submit(["--timeout_min", 10], short_overrides)
    run.wait_for_step(STEPS_PER_EPOCH + 10)
    run.cluster.command("scontrol", "requeue", run.job_id)
    run.wait_for_restart()
    job = run.wait_for_completion()
    assert job["Restarts"] == "1"
    assert f"job {run.job_id} is not requeued: it is COMPLETING" in run.log  # since it was already
    assert len(resumed_steps(run)) == 1
    assert_as_uninterrupted(run, uninterrupted, short_epochs)


def test_a_job_that_has_to_make_room_comes_back(
    submit: Submit, short_overrides: list[object], short_epochs: int, uninterrupted: SubmittedRun
):
    """Pre-empted by a partition of higher priority, with 20 s of grace."""
    run = submit(["--timeout_min", 10, "--partition", "main"], short_overrides)
    run.wait_for_step(STEPS_PER_EPOCH + 10)
    all_cores = ["--partition=urgent", "--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=4", "--time=1"]
    urgent = run.cluster.command("sbatch", "--parsable", *all_cores, "--output=/dev/null", "--wrap=sleep 1").strip()
    run.cluster.wait_for_state(urgent, "COMPLETED")
    run.wait_for_restart()
    job = run.wait_for_completion()
    assert job["Restarts"] == "1"
    assert len(resumed_steps(run)) == 1
    assert_as_uninterrupted(run, uninterrupted, short_epochs)


def test_a_cancelled_job_saves_and_is_not_requeued(submit: Submit, short_overrides: list[object]):
    run = submit(["--timeout_min", 10], short_overrides)
    run.wait_for_step(10)
    run.cluster.command("scancel", run.job_id)
    run.cluster.wait_for_state(run.job_id, "CANCELLED")
    steps = run.steps()
    path = run.output_dir / "checkpoints" / "checkpoint_last.pyth"
    content = torch.load(path, weights_only=True)
    assert (content["epoch"] + 1) * STEPS_PER_EPOCH + content["step"] == len(steps) >= 10
    assert f"job {run.job_id} is not requeued: it is COMPLETING, so it has been cancelled" in run.log
    time.sleep(10)  # a requeued job would start again after 6 s
    job = run.cluster.job(run.job_id)
    assert (job["JobState"], job["Restarts"]) == ("CANCELLED", "0")
    assert run.steps() == steps


def test_a_job_that_may_not_be_requeued_is_not(submit: Submit, short_overrides: list[object]):
    run = submit(["--timeout_min", 10, "--no-requeue"], short_overrides)
    run.wait_for_step(10)
    run.cluster.command("scancel", "--signal=USR2", run.job_id)
    job = run.wait_for_completion()
    assert (job["Requeue"], job["Restarts"]) == ("0", "0")
    assert re.search(rf"job {run.job_id} is not requeued: it may not be \(--no-requeue.*submit it again", run.log)
    assert (run.output_dir / "checkpoints" / "checkpoint_last.pyth").exists()


def test_a_job_that_loses_a_process_fails_and_is_not_requeued(submit: Submit, short_overrides: list[object]):
    """srun sends the other process SIGTERM then, which must not pass for an interruption of the job."""
    run = submit(["--timeout_min", 10], short_overrides)
    run.wait_for_step(10)
    (pid,) = run.cluster.pids_of_task(run.job_id, 1)
    os.kill(pid, signal.SIGKILL)
    run.cluster.wait_for_state(run.job_id, "FAILED", timeout_s=90)
    time.sleep(10)
    job = run.cluster.job(run.job_id)
    assert (job["JobState"], job["Restarts"]) == ("FAILED", "0")
    assert "requeueing" not in run.log
