"""Features of many videos by the jobs of one array."""

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from slowfast.inference import publish
from slowfast.inference.feature_files import read_features
from tests.inference.models import small_classifier
from tests.slurm.cluster import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
LIMIT_S = 240
PROGRAM = "from slowfast.cli.main import main; main()"


def test_an_array_writes_a_file_for_each_shard(cluster: Cluster, tmp_path: Path):
    classifier = small_classifier("uniformerv2")
    folder = publish(classifier, tmp_path / "model")
    clips = ROOT / "tests" / "clips"
    words = ["features", clips, "--model", folder, "--views", "1x1", "--output", tmp_path / "f.npz", "--jobs", 2]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words), "--timeout_min", "10"],
        cwd=ROOT,
        env={**cluster.environment, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    *jobs, cancel = done.stdout.splitlines()
    files = [tmp_path / f"f.{idx}-of-2.npz" for idx in range(2)]
    (number,) = {re.match(r"job (\d+)_[01]: ", line)[1] for line in jobs}
    assert [line.split(": ")[1].split(";")[0] for line in jobs] == [*map(str, files)]
    assert cancel == f"cancel: scancel {number}"
    deadline = time.monotonic() + LIMIT_S
    while not all(file.is_file() for file in files) and time.monotonic() < deadline:
        time.sleep(1)
    logs = [path.read_text() for path in sorted((tmp_path / "submitit").glob(f"{number}_*_log.*"))]
    assert all(file.is_file() for file in files), "\n".join([*logs, cluster.logs()])
    found = {path: row for file in files for path, row in zip(*_rows(file), strict=True)}
    expected = classifier.features(sorted(found), views="1x1")
    assert len(found) == 3
    for each in expected:
        np.testing.assert_allclose(found[each.path], each.clips.numpy(), rtol=0, atol=1e-5)


def _rows(file: Path) -> tuple[list[str], np.ndarray]:
    table = read_features(file)
    return list(table.paths), table.clips
