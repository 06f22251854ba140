"""Runs that are killed or asked to stop at any moment, and started again, end as if nothing had happened."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from tests.engine.command_line import ROOT, RUN_NET, run_net, tiny_arguments
from tests.engine.run_state import assert_same_state

# Every part that has a state: augmentation, dropout, mixing, a moving average, accumulated batches, a log line that
# spans several steps, worker processes.
EVERYTHING = [
    *("TRAIN.BATCH_SIZE", 1, "SOLVER.ACCUM_STEPS", 2, "SOLVER.MAX_EPOCH", 6, "LOG_PERIOD", 3, "TEST.ENABLE", "False"),
    *("AUG.ENABLE", "True", "AUG.NUM_SAMPLE", 2, "MIXUP.ENABLE", "True", "MODEL.LOSS_FUNC", "soft_cross_entropy"),
    *("MODEL.EMA_EPOCH", 1, "MODEL.EMA_DECAY", 0.9, "UNIFORMERV2.BACKBONE_DROP_PATH_RATE", 0.1),
    *("TRAIN.CHECKPOINT_PERIOD", 2, "TRAIN.NUM_CHECKPOINTS_KEPT", 2, "DATA_LOADER.NUM_WORKERS", 1),
]
EACH_STEP = ["TRAIN.CHECKPOINT_SECONDS", 1e-6]
TRACED = ("kind", "step", "epoch", "loss", "lr", "top1", "grad_norm", "num_replaced")


def trace(output_dir: Path) -> list[tuple]:
    """What the log says of every step and validation, times and memory aside."""
    lines = map(json.loads, (output_dir / "metrics.jsonl").read_text().splitlines())
    return [tuple(line.get(name) for name in TRACED) for line in lines]


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen]:
    """tools/run_net.py in a process of its own; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, str(RUN_NET), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_until(condition: Callable[[], bool], process: subprocess.Popen, timeout_s: float = 120) -> None:
    """Look again and again, without a pause; fails if the process ends before the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "timed out"


def num_lines(output_dir: Path) -> int:
    path = output_dir / "metrics.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def assert_same_run(one: Path, other: Path) -> None:
    """Two runs have left the same checkpoints and the same trace, to the last bit."""
    assert trace(one) == trace(other)
    names = [sorted(path.name for path in (folder / "checkpoints").iterdir()) for folder in (one, other)]
    assert names[0] == names[1]
    for name in names[0]:
        contents = [torch.load(folder / "checkpoints" / name, weights_only=True) for folder in (one, other)]
        assert_same_state(*contents)


@pytest.fixture(scope="module")
def whole_run(video_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output_dir = tmp_path_factory.mktemp("whole")
    outcome = run_net(*tiny_arguments(video_set, output_dir, *EVERYTHING))
    assert outcome.code == 0, outcome.err
    return output_dir


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_that_is_killed_at_random_moments_ends_as_if_it_had_not_been(
    seed: int, whole_run: Path, video_set: Path, tmp_path: Path
):
    rng, arguments = random.Random(seed), tiny_arguments(video_set, tmp_path, *EVERYTHING, *EACH_STEP)
    for num_more_lines in (1, 3, 5):
        with started(*arguments) as process:
            target = num_lines(tmp_path) + num_more_lines
            wait_until(lambda target=target: num_lines(tmp_path) >= target, process)
            time.sleep(rng.uniform(0, 0.1))
            process.kill()
    outcome = run_net(*arguments)
    assert outcome.code == 0, outcome.err
    assert re.search(
        r"going on from .*checkpoint_(last|best|epoch_\d+).pyth: \d epochs and \d+ steps done", outcome.out
    )
    assert_same_run(whole_run, tmp_path)


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_saves_ends_as_if_it_had_not_been(
    whole_run: Path, video_set: Path, tmp_path: Path
):
    arguments = tiny_arguments(video_set, tmp_path, *EVERYTHING, *EACH_STEP)
    half = tmp_path / "checkpoints" / "checkpoint_last.pyth.tmp"
    num_halves = 0
    for num_more_lines in (1, 2, 2):
        with started(*arguments) as process:
            target = num_lines(tmp_path) + num_more_lines
            wait_until(lambda target=target: num_lines(tmp_path) >= target and half.exists(), process)
            process.kill()
            process.wait()
        num_halves += half.exists()
    assert num_halves > 0, "no kill fell into a save"
    outcome = run_net(*arguments)
    assert outcome.code == 0, outcome.err
    assert_same_run(whole_run, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_run_that_is_asked_to_stop_saves_and_goes_on_at_that_step(
    number: signal.Signals, whole_run: Path, video_set: Path, tmp_path: Path
):
    arguments = tiny_arguments(video_set, tmp_path, *EVERYTHING, "TRAIN.CHECKPOINT_SECONDS", 0)
    with started(*arguments) as process:
        wait_until(lambda: num_lines(tmp_path) >= 2, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, ""), err
    assert f"stopped by {number.name}" in out and "Traceback" not in out
    saved = torch.load(tmp_path / "checkpoints" / "checkpoint_last.pyth", weights_only=True)
    outcome = run_net(*arguments)
    assert f"{saved['epoch'] + 1} epochs and {saved['step']} steps done" in outcome.out
    assert outcome.code == 0, outcome.err
    assert_same_run(whole_run, tmp_path)
