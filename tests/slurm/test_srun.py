"""Tasks that srun starts without any tool of ours: they find each other, and end together."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import ROOT
from tests.slurm.cluster import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
PROGRAM = [sys.executable, "-m", "tests.launch.job_program"]


def run(cluster: Cluster, *words: object) -> subprocess.CompletedProcess:
    """Run a command of SLURM and wait for its end."""
    environment = {**cluster.environment, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        list(map(str, words)), cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=120
    )


def test_tasks_on_two_nodes_work_as_one_group(cluster: Cluster, tmp_path: Path):
    words = ["finish", "NUM_SHARDS", 2, "OUTPUT_DIR", tmp_path]
    done = run(cluster, "srun", "-N2", "--ntasks-per-node=2", *PROGRAM, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3"]


def test_a_mistake_of_one_task_ends_all_and_both_tell_it(cluster: Cluster, tmp_path: Path):
    words = ["mistake_on_last", "NUM_SHARDS", 2, "OUTPUT_DIR", tmp_path]
    done = run(cluster, "srun", "-N2", "--ntasks-per-node=1", *PROGRAM, *words)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    # srun passes on the lines of two nodes in any order.
    told, own = sorted(errors)
    assert done.returncode != 0 and own == "error: train.csv:7: no label"
    assert re.fullmatch(r"error: rank 1 \(host \S+\): train\.csv:7: no label", told)


def test_what_a_batch_script_starts_itself_is_alone(cluster: Cluster, tmp_path: Path):
    command = " ".join(map(str, [*PROGRAM, "finish", "OUTPUT_DIR", tmp_path]))
    done = run(cluster, "sbatch", "--wait", "-N2", "-n2", "-o", tmp_path / "log.txt", "--wrap", command)
    assert done.returncode == 0, (tmp_path / "log.txt").read_text()
    assert (tmp_path / "0").exists() and not (tmp_path / "1").exists()
