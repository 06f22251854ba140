"""Runs that are killed or asked to stop at any moment, and started again, end as if nothing had happened."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from slowfast.runtime.interruption import Interrupted
from tests.command_line import ROOT, RUN_NET, run_commands, run_net, tiny_arguments
from tests.free_port import free_port
from tests.run_state import assert_same_state, metrics

# Every part that has a state: augmentation, dropout, mixing, an EMA, precise statistics, accumulated batches,
# a log line that spans several steps, worker processes.
EVERYTHING = [
    *("TRAIN.BATCH_SIZE", 1, "SOLVER.ACCUM_STEPS", 2, "SOLVER.MAX_EPOCH", 6, "LOG_PERIOD", 3, "TEST.ENABLE", "False"),
    *("AUG.ENABLE", "True", "AUG.NUM_SAMPLE", 2, "MIXUP.ENABLE", "True", "MODEL.LOSS_FUNC", "soft_cross_entropy"),
    *("MODEL.EMA_EPOCH", 1, "MODEL.EMA_DECAY", 0.9, "UNIFORMERV2.BACKBONE_DROP_PATH_RATE", 0.1),
    *("BN.USE_PRECISE_STATS", "True", "BN.NUM_BATCHES_PRECISE", 3),
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
    """tools/run_net.py in a process group of its own; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, str(RUN_NET), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_until(condition: Callable[[], bool], process: subprocess.Popen, timeout_s: float = 120) -> None:
    """Look every half millisecond; fails if the process ends before the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        time.sleep(0.0005)
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
def test_a_run_that_is_killed_at_random_moments_ends_as_if_it_had_not_been(
    whole_run: Path, video_set: Path, tmp_path: Path
):
    rng, arguments = random.Random(1), tiny_arguments(video_set, tmp_path, *EVERYTHING, *EACH_STEP)
    for num_more_lines in (1, 3, 5):
        with started(*arguments) as process:
            target = num_lines(tmp_path) + num_more_lines
            wait_until(lambda target=target: num_lines(tmp_path) >= target, process)
            time.sleep(rng.uniform(0, 0.1))
            process.kill()
    outcome = run_net(*arguments)
    assert outcome.code == 0, outcome.err
    assert re.search(
        r"resuming from .*checkpoint_(last|best|epoch_\d+).pyth: \d epochs and \d+ steps done", outcome.out
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
    """A scheduler signals all processes of a job, those that load data, too."""
    arguments = tiny_arguments(video_set, tmp_path, *EVERYTHING, "TRAIN.CHECKPOINT_SECONDS", 0)
    with started(*arguments) as process:
        wait_until(lambda: num_lines(tmp_path) >= 2, process)
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, ""), err
    assert f"stopped by {number.name}" in out and "Traceback" not in out
    saved = torch.load(tmp_path / "checkpoints" / "checkpoint_last.pyth", weights_only=True)
    assert saved["step"] > 0
    outcome = run_net(*arguments)
    assert f"{saved['epoch'] + 1} epochs and {saved['step']} steps done" in outcome.out
    assert outcome.code == 0, outcome.err
    assert_same_run(whole_run, tmp_path)


@pytest.mark.slow
def test_two_processes_that_are_killed_end_as_if_they_had_not_been(video_set: Path, tmp_path: Path):
    """Each has generators and running averages of its own."""

    def commands(output_dir: Path, *overrides: object) -> list[list[object]]:
        rendezvous = ["--init_method", f"tcp://127.0.0.1:{free_port()}"]
        overrides = (*EVERYTHING, "NUM_SHARDS", 2, "SOLVER.MAX_EPOCH", 4, *overrides)
        arguments = tiny_arguments(video_set, output_dir, *overrides)
        return [[*rendezvous, "--shard_id", shard_id, *arguments] for shard_id in range(2)]

    def run(output_dir: Path) -> str:
        outcomes = run_commands(*([sys.executable, RUN_NET, *words] for words in commands(output_dir)))
        assert [outcome.code for outcome in outcomes] == [0, 0], outcomes
        return outcomes[0].out

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run(whole)
    one, other = commands(killed, *EACH_STEP)
    with started(*one) as process, started(*other) as peer:
        wait_until(lambda: num_lines(killed) >= 2, process)
        peer.kill()
        process.kill()
    out = run(killed)
    found = re.search(r"resuming from \S+: (\d) epochs and (\d) steps done", out)
    assert found, out
    assert_same_run(whole, killed)


@pytest.mark.slow
def test_two_processes_save_within_an_epoch_by_one_clock(video_set: Path, tmp_path: Path):
    """Epochs are far shorter than the period, and each ends with a checkpoint: none is due within one."""
    overrides = ["NUM_SHARDS", 2, "SOLVER.MAX_EPOCH", 60, "TRAIN.EVAL_PERIOD", 60, "TRAIN.CHECKPOINT_PERIOD", 60]
    overrides += ["TRAIN.BATCH_SIZE", 1, "TRAIN.CHECKPOINT_SECONDS", 3, "TEST.ENABLE", "False", "LOG_PERIOD", 100]
    rendezvous = ["--init_method", f"tcp://127.0.0.1:{free_port()}"]
    arguments = tiny_arguments(video_set, tmp_path, *overrides)
    commands = [[sys.executable, RUN_NET, *rendezvous, "--shard_id", shard_id, *arguments] for shard_id in range(2)]
    outcomes = run_commands(*commands)
    assert [outcome.code for outcome in outcomes] == [0, 0], outcomes
    assert outcomes[0].out.count("INFO saved") == 60 + 1  # one more before the validation


@pytest.mark.slow
def test_a_run_that_stopped_before_its_validation_goes_on_with_it(
    whole_run: Path, video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Precise statistics come first there, whose forward passes draw random numbers."""
    arguments = tiny_arguments(video_set, tmp_path, *EVERYTHING)
    with monkeypatch.context() as patched:
        patched.setattr("slowfast.engine.train.update_bn_stats", stop)
        assert run_net(*arguments).code == 0
    outcome = run_net(*arguments)
    assert "checkpoint_last.pyth: 0 epochs and 4 steps done" in outcome.out
    assert_same_run(whole_run, tmp_path)


def stop(*arguments: object) -> NoReturn:
    raise Interrupted("SIGTERM")


# Resuming with another config


@pytest.fixture(scope="module")
def stopped_run(video_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that stopped after the first of two steps of its first epoch."""
    output_dir = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("slowfast.engine.train.stop_signal", lambda: signal.SIGTERM)
        arguments = tiny_arguments(video_set, output_dir, "TRAIN.BATCH_SIZE", 2, "TEST.ENABLE", "False")
        outcome = run_net(*arguments)
    assert outcome.code == 0 and "stopped by SIGTERM" in outcome.out, outcome.err
    return output_dir


def copy_of(output_dir: Path, target: Path) -> Path:
    shutil.copytree(output_dir, target)
    return target


@pytest.mark.parametrize(
    ("overrides", "warning"),
    [
        (["RNG_SEED", 2], "RNG_SEED is 2 and was 1; it resumes at step 3"),
        (["TRAIN.BATCH_SIZE", 1], "a step takes 1 videos and took 2; it resumes at step 5"),
        (["TRAIN.BATCH_SIZE", 4], "a step takes 4 videos and took 2; it resumes at step 2"),
    ],
)
def test_a_run_that_goes_on_otherwise_says_that_it_will_not_be_the_same(
    overrides: list, warning: str, stopped_run: Path, video_set: Path, tmp_path: Path
):
    output_dir = copy_of(stopped_run, tmp_path / "run")
    arguments = ["TRAIN.BATCH_SIZE", 2, "SOLVER.MAX_EPOCH", 1, "TEST.ENABLE", "False", *overrides]
    outcome = run_net(*tiny_arguments(video_set, output_dir, *arguments))
    assert outcome.code == 0, outcome.err
    told = "WARNING the rest of epoch 1 draws other random numbers than without the interruption: "
    assert told + warning in outcome.out
    final = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert metrics(output_dir, "train")[-1]["step"] == 8 // final["TRAIN.BATCH_SIZE"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["MODEL.NUM_CLASSES", 3], r"MODEL.NUM_CLASSES 2 \(here 3\)"),
        (["UNIFORMERV2.LAYERS", 3], r"UNIFORMERV2.LAYERS 2 \(here 3\)"),
        (["SOLVER.OPTIMIZING_METHOD", "sgd"], r"its optimizer does not fit SOLVER"),
    ],
)
def test_a_run_does_not_resume_with_another_model(
    overrides: list, message: str, stopped_run: Path, video_set: Path, tmp_path: Path
):
    output_dir = copy_of(stopped_run, tmp_path / "run")
    before = {path: path.read_bytes() for path in output_dir.rglob("*") if path.is_file()}
    outcome = run_net(*tiny_arguments(video_set, output_dir, *overrides))
    assert re.search(message, outcome.error), outcome.error
    assert {path: path.read_bytes() for path in output_dir.rglob("*") if path.is_file()} == before


def test_a_run_does_not_resume_with_other_classes(stopped_run: Path, video_set: Path, tmp_path: Path):
    output_dir = copy_of(stopped_run, tmp_path / "run")
    path = output_dir / "checkpoints" / "checkpoint_last.pyth"
    content = torch.load(path, weights_only=True)
    names = ["DATA.CLASS_NAMES_FILE", video_set / "classes.txt"]
    for theirs, message in (
        (None, "was trained with no class names"),
        (["class 0", "cat"], "was trained with other class names: class 1 is 'cat' there and 'class 1' here"),
        (["class 0", "class 1", "cat"], "was trained with 3 class names, this run has 2"),
    ):
        torch.save({**content, "class_names": theirs}, path)
        outcome = run_net(*tiny_arguments(video_set, output_dir, *names))
        assert outcome.error == (f"{path}: {message}; use the DATA.CLASS_NAMES_FILE of that run or a new OUTPUT_DIR")
