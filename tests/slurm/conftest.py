"""A cluster for all tests of this folder, and what they submit to it."""

import json
import math
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.command_line import CONFIG, ROOT
from tests.slurm.cluster import Cluster, running_cluster, until, why_no_cluster

NODES = 2
STEPS_PER_EPOCH = 50
# Seconds that a run takes which a test interrupts itself, and times that for one that meets its time limit: SLURM
# signals that 10 to 50 s after the start of a job of one minute (tests/slurm/test_interruption.py).
SHORT_S, LONG_IN_SHORT = 10, 5


@dataclass(frozen=True)
class SubmittedRun:
    """A job and the run in it."""

    cluster: Cluster
    job_id: str
    output_dir: Path
    printed: str

    @property
    def log(self) -> str:
        """What the run has logged so far, through all restarts."""
        path = self.output_dir / "log.txt"
        return path.read_text() if path.exists() else ""

    def steps(self) -> list[int]:
        """The steps that the log tells of, in its order, counted from 1; a step that is taken twice is there twice."""
        found = re.findall(r"epoch (\d+)/\d+ step (\d+)/(\d+):", self.log)
        return [(int(epoch) - 1) * int(per_epoch) + int(step) for epoch, step, per_epoch in found]

    def job_logs(self) -> str:
        """All that its processes have printed, for a failure's message."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text()[-3000:]}"
            for path in sorted((self.output_dir / "submitit").glob("*_log.*"))
        )

    def wait_for_step(self, step: int, timeout_s: float = 120) -> None:
        """Wait until the run has taken a step, or a later one."""
        try:
            until(lambda: max(self.steps(), default=0) >= step, timeout_s, f"step {step}", 0.2)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.job_logs()}\n{self.cluster.logs()}") from None

    def wait_for_restart(self, restarts: int = 1, timeout_s: float = 150) -> None:
        """Wait until SLURM has started the job again, so many times."""
        try:
            until(lambda: int(self.cluster.job(self.job_id)["Restarts"]) >= restarts, timeout_s, "a restart")
            self.cluster.wait_for_state(self.job_id, "RUNNING", "COMPLETED", timeout_s=timeout_s)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.job_logs()}\n{self.cluster.logs()}") from None

    def wait_for_completion(self, timeout_s: float = 240) -> dict[str, str]:
        """Wait for the end and return what SLURM says about the job; fails if it did not complete."""
        job = self.cluster.wait_for_state(
            self.job_id, "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", timeout_s=timeout_s
        )
        assert job["JobState"] == "COMPLETED", f"{job['JobState']}\n{self.job_logs()}\n{self.log[-2000:]}"
        return job

    def weights(self, epoch: int) -> dict[str, torch.Tensor]:
        """The weights after an epoch, counted from 1."""
        path = self.output_dir / "checkpoints" / f"checkpoint_epoch_{epoch - 1:05d}.pyth"
        return torch.load(path, weights_only=True)["model_state"]

    def metrics(self, kind: str) -> list[dict]:
        """The lines of one kind in metrics.jsonl."""
        lines = map(json.loads, (self.output_dir / "metrics.jsonl").read_text().splitlines())
        return [line for line in lines if line["kind"] == kind]


Submit = Callable[..., SubmittedRun]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster of two nodes."""
    if reason := why_no_cluster():
        pytest.skip(reason)
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def lists(video_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lists of ``video_set`` with its training videos over and over: STEPS_PER_EPOCH steps of two nodes x 2."""
    folder = tmp_path_factory.mktemp("lists")
    for split in ("val", "test"):
        (folder / f"{split}.csv").write_text((video_set / f"{split}.csv").read_text())
    lines = (video_set / "train.csv").read_text().splitlines(keepends=True)
    times = math.ceil(STEPS_PER_EPOCH * NODES * 2 / len(lines))
    (folder / "train.csv").write_text("".join((lines * times)[: STEPS_PER_EPOCH * NODES * 2]))
    return folder


@pytest.fixture(scope="session")
def submit(cluster: Cluster, video_set: Path, lists: Path, tmp_path_factory: pytest.TempPathFactory) -> Submit:
    """``submit(options, overrides)`` submits the tiny config, by default to two nodes, as a user does."""

    def submit_run(options: list[object] = (), overrides: list[object] = (), expected_status: int = 0) -> SubmittedRun:
        output_dir = tmp_path_factory.mktemp("runs") / "a run"
        words = ["tools/submit.py", "--num_shards", NODES, *options, "--cfg", CONFIG]
        words += ["DATA.PATH_TO_DATA_DIR", lists, "DATA.PATH_PREFIX", video_set, "OUTPUT_DIR", output_dir]
        words += ["TRAIN.BATCH_SIZE", 2, *overrides]
        environment = {**cluster.environment, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=ROOT,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == expected_status, f"{done.stdout}\n{done.stderr}\n{cluster.logs()}"
        return SubmittedRun(
            cluster, re.match(r"job (\d+): ", done.stdout)[1], output_dir, printed=done.stdout + done.stderr
        )

    return submit_run


@pytest.fixture(scope="session")
def first_run(submit: Submit) -> SubmittedRun:
    """A short run on two nodes, tested at its end, which the tool has waited for."""
    return submit(["--wait", "--timeout_min", 10], ["SOLVER.MAX_EPOCH", 2])


@pytest.fixture(scope="session")
def short_epochs(first_run: SubmittedRun) -> int:
    """Epochs that take about SHORT_S seconds here."""
    # Of the fast ones, as what slows the others, on a machine with other work, may pass.
    step_s = statistics.quantiles((line["step_time_s"] for line in first_run.metrics("train")), n=10)[0]
    return max(round(SHORT_S / (STEPS_PER_EPOCH * step_s)), 2)


@pytest.fixture(scope="session")
def long_overrides(short_epochs: int) -> list[object]:
    """Of a run whose weights after an epoch do not depend on how many epochs are to follow.

    Nothing is saved before the end but by who is asked to stop, and after epochs, which the tests tell apart.
    """
    overrides = ["SOLVER.LR_POLICY", "steps_with_relative_lrs", "SOLVER.STEPS", "[0]", "SOLVER.LRS", "[1.0]"]
    overrides += ["SOLVER.WARMUP_EPOCHS", 0, "TRAIN.EVAL_PERIOD", 10**6, "TEST.ENABLE", "False"]
    overrides += ["TRAIN.CHECKPOINT_SECONDS", 0, "TRAIN.CHECKPOINT_PERIOD", 10**6]
    return [*overrides, "SOLVER.MAX_EPOCH", LONG_IN_SHORT * short_epochs]


@pytest.fixture(scope="session")
def short_overrides(long_overrides: list[object], short_epochs: int) -> list[object]:
    """Of the same run, which ends after ``short_epochs``."""
    return [*long_overrides, "SOLVER.MAX_EPOCH", short_epochs]


@pytest.fixture(scope="session")
def uninterrupted(submit: Submit, long_overrides: list[object], short_epochs: int) -> SubmittedRun:
    """The long run without interruption, with checkpoints after ``short_epochs`` and at the end."""
    run = submit(["--timeout_min", 30], [*long_overrides, "TRAIN.CHECKPOINT_PERIOD", short_epochs])
    run.wait_for_completion()
    return run
