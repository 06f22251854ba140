"""The benchmark of training: its figures hang together, and it tells the slower side; no test tells how fast it is."""

import os
import re
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from slowfast.benchmarks import measure
from slowfast.benchmarks.complexity import count_operations
from slowfast.benchmarks.step_timer import Rate, StepTimer
from slowfast.benchmarks.training_report import bottleneck, describe_training, efficiency
from slowfast.benchmarks.training_speed import (
    COMPUTING,
    LOADING,
    PARTS,
    TOGETHER,
    TrainMeasurement,
    benchmark_training,
)
from slowfast.config import load_config
from slowfast.datasets.clip_dataset import TrainClipDataset
from slowfast.models import build_model
from slowfast.models.uniformerv2 import Uniformerv2
from tests.command_line import ROOT, run_commands, run_tool, tiny_arguments
from tests.videos import write_list

TOOL = ROOT / "tools" / "benchmark_train.py"
NUM_STEPS = 5  # more than the two of an epoch


@pytest.fixture(autouse=True)
def small_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """A matrix product that takes no time, and a process that nobody else has started."""
    monkeypatch.setattr(measure, "MATRIX_SIZES", {"cpu": 64, "cuda": 64})
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def tiny_config(video_set: Path, output_dir: Path, *overrides: object):
    _, path, *pairs = tiny_arguments(video_set, output_dir, *overrides)
    return load_config(path, pairs)


def rows_of(printed: str) -> dict[tuple[int, str], list[str]]:
    """Values of the table's rows, by number of processes and part."""
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if line.startswith("| ")]
    return {(int(row[0]), row[1]): row[2:] for row in cells[1:]}


@pytest.mark.slow
def test_figures_hang_together_and_nothing_is_left_behind(
    video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    keys = ["AUG.ENABLE", "True", "AUG.NUM_SAMPLE", 3, "TRAIN.BATCH_SIZE", 2, "SOLVER.ACCUM_STEPS", 2]
    # On one node and from random weights, wherever the config would go and start from.
    keys += ["NUM_SHARDS", 4, "UNIFORMERV2.PRETRAIN", "/nowhere.pth", "MODEL.EMA_EPOCH", 0]
    cfg = tiny_config(video_set, tmp_path / "run", *keys)
    (measurement,) = benchmark_training(cfg, [1], num_steps=NUM_STEPS, num_warmup=1)
    assert (measurement.num_processes, measurement.num_workers, measurement.precision) == (1, 0, "float32")
    assert (measurement.videos_per_step, measurement.clips_per_step, measurement.num_batches) == (4, 12, 10)
    assert set(measurement.rates) == set(PARTS)
    for rate in measurement.rates.values():
        assert 0 < rate.min_s <= rate.p10_s <= rate.median_s <= rate.p90_s
        assert rate.clips_per_s == pytest.approx(3 * rate.videos_per_s)
        assert 4 / rate.videos_per_s >= rate.min_s  # the mean of a step
    computing = measurement.rates[COMPUTING]
    assert computing.data_time_s < 0.2 * computing.median_s
    assert measurement.rates[LOADING].data_time_s == pytest.approx(4 / measurement.rates[LOADING].videos_per_s, rel=0.2)

    with torch.device("meta"):
        counter = count_operations(build_model(cfg), (6, 3, 2, 16, 16), has_backward=True)
    num_flop = 2 * 2 * counter.multiply_adds  # of two accumulated batches
    assert measurement.flop_per_s * measurement.rates[COMPUTING].min_s == pytest.approx(num_flop)
    assert measurement.peak_share > 0 and measurement.memory_bytes > 50 * 2**20

    assert not (tmp_path / "run").exists() and not list((tmp_path / "temporary").iterdir())
    assert "LOCAL_WORLD_SIZE" not in os.environ
    assert describe_training(cfg, [measurement])[0] == (
        "Uniformerv2, 2 frames of 16 px, float32, 4 videos (12 clips) per step, on one node of NUM_SHARDS 4"
    )


def test_steps_are_timed_after_the_warm_up():
    """Steps of 0.5, 0.1, 0.1 and 0.2 s, the first of which warms up, and again two of 0.1 s."""
    pauses = iter([0.5, 0.1, 0.1, 0.2, 0.1, 0.1])

    def step() -> float:
        pause_s = next(pauses)
        time.sleep(pause_s)
        return pause_s / 2

    timer = StepTimer(torch.device("cpu"), step)
    timer.take(3, num_warmup=1)
    timer.take(2, num_warmup=0)
    rate = timer.rate(videos_per_step=3, clips_per_step=6)
    assert rate.clips_per_s == 2 * rate.videos_per_s
    assert 3 * 5 / 3.0 < rate.videos_per_s <= 3 * 5 / 0.6
    assert 0.1 <= rate.min_s <= rate.p10_s <= rate.median_s < rate.p90_s and rate.p90_s > 0.15
    assert rate.data_time_s == pytest.approx(0.6 / 2 / 5)


@pytest.mark.slow
def test_slow_loading_is_told(video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pause_s, load = 0.05, TrainClipDataset.__getitem__

    def load_slowly(self, key):
        time.sleep(pause_s)
        return load(self, key)

    monkeypatch.setattr(TrainClipDataset, "__getitem__", load_slowly)
    arguments = tiny_arguments(video_set, tmp_path / "run")
    outcome = run_tool("benchmark_train", "--steps", 3, "--warmup", 1, *arguments)
    assert outcome.code == 0, outcome.err
    rows = rows_of(outcome.out)
    for part in (LOADING, TOGETHER):
        assert 0 < float(rows[1, part][0]) <= 1 / pause_s
        assert float(rows[1, part][-1]) >= 4 * pause_s  # waiting for four videos
    advantage = float(rows[1, COMPUTING][0]) / float(rows[1, LOADING][0])
    found = re.fullmatch(r"bottleneck: loading \(computing alone is (.*) times as fast\)", outcome.out.splitlines()[-1])
    assert float(found[1]) == pytest.approx(advantage, rel=0.02, abs=0.06)


@pytest.mark.slow
def test_slow_computing_is_told(video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pause_s, forward = 0.3, Uniformerv2.forward

    def compute_slowly(self, clips):
        time.sleep(pause_s)
        return forward(self, clips)

    monkeypatch.setattr(Uniformerv2, "forward", compute_slowly)
    arguments = tiny_arguments(video_set, tmp_path / "run", "DATA_LOADER.NUM_WORKERS", 1)
    outcome = run_tool("benchmark_train", "--steps", 3, "--warmup", 1, *arguments)
    assert outcome.code == 0, outcome.err
    rows = rows_of(outcome.out)
    for part in (COMPUTING, TOGETHER):
        assert 0 < float(rows[1, part][0]) <= 4 / pause_s
    # The worker loads while the model computes.
    assert float(rows[1, TOGETHER][-1]) < 0.5 * pause_s
    assert outcome.out.splitlines()[-1].startswith("bottleneck: computing (loading alone is ")
    assert "warning: 3 batches are few for 1 workers" in outcome.out


@pytest.mark.slow
def test_two_processes_share_the_batch(video_set: Path, tmp_path: Path):
    words = ["--steps", NUM_STEPS, "--warmup", 1, "--processes", 2, 1, *tiny_arguments(video_set, tmp_path / "run")]
    (outcome,) = run_commands([sys.executable, TOOL, *words])
    assert outcome.code == 0, outcome.err
    rows = rows_of(outcome.out)
    assert set(rows) == {(count, part) for count in (1, 2) for part in PARTS}
    for part in PARTS:
        rate, share = float(rows[2, part][0]) / float(rows[1, part][0]), float(rows[2, part][-1].rstrip("%")) / 100
        assert float(rows[2, part][-2]) == pytest.approx(rate, abs=0.02)
        assert share == pytest.approx(rate / 2, abs=0.02) and rows[1, part][-2:] == ["1.00", "100%"]
    last = outcome.out.splitlines()[-2:]
    assert [line.split(": ")[0] for line in last] == ["1 process, bottleneck", "2 processes, bottleneck"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_times_its_own_steps(video_set: Path, tmp_path: Path):
    cfg = tiny_config(video_set, tmp_path / "run", "NUM_GPUS", 1)
    (measurement,) = benchmark_training(cfg, [1], num_steps=20, num_warmup=3)
    rate = measurement.rates[COMPUTING]
    assert 0 < rate.min_s <= rate.median_s <= rate.p90_s
    assert 20 * rate.min_s <= 20 * 4 / rate.videos_per_s < 2 * 20 * rate.p90_s


@pytest.mark.slow
def test_videos_that_cannot_be_read_count_by_the_epoch(video_set: Path, tmp_path: Path):
    for split in ("val", "test", "train"):
        rows = [(f"videos/{split}_{i}.mp4", i % 2) for i in range(4)]
        write_list(tmp_path / f"{split}.csv", [*rows, ("videos/absent.mp4", 0), *rows[:3]])
    arguments = tiny_arguments(video_set, tmp_path / "run", "DATA.PATH_TO_DATA_DIR", tmp_path)
    words = ["--steps", 7, "--warmup", 1, *arguments]
    assert run_tool("benchmark_train", *words, "DATA_LOADER.MAX_REPLACED", 0.5).code == 0
    outcome = run_tool("benchmark_train", *words, "DATA_LOADER.MAX_REPLACED", 0.1)
    assert outcome.code == 1
    assert re.match(r"\d of an epoch's 8 videos could not be read, more than the share of DATA_LOADER", outcome.error)


@pytest.mark.slow
def test_a_stop_signal_ends_it(video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    load = TrainClipDataset.__getitem__

    def load_and_stop(self, key):
        os.kill(os.getpid(), signal.SIGTERM)
        return load(self, key)

    monkeypatch.setattr(TrainClipDataset, "__getitem__", load_and_stop)
    outcome = run_tool("benchmark_train", *tiny_arguments(video_set, tmp_path / "run"))
    assert (outcome.code, outcome.error) == (1, "stopped by SIGTERM before all was measured")


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["DATA.PATH_TO_DATA_DIR", "/nowhere"], 1, "/nowhere/train.csv"),
        (["NUM_GPUS", 64, "TRAIN.BATCH_SIZE", 64, "TEST.BATCH_SIZE", 64], 1, "NUM_GPUS 64, but this machine has "),
        (["NUM_GPUS", 64], 2, "TRAIN.BATCH_SIZE is 4 and NUM_GPUS 64"),
        (["TRAIN.BATCH_SIZE", 64], 1, "the training list has 8 videos, fewer than one step of 64"),
        (["DATA.NUM_FRAMES", "few"], 2, "DATA.NUM_FRAMES takes"),
    ],
)
def test_mistakes_in_the_config_are_one_line(
    video_set: Path,
    tmp_path: Path,
    words: list,
    status: int,
    told: str,
):
    outcome = run_tool("benchmark_train", *tiny_arguments(video_set, tmp_path / "run", *words))
    assert outcome.code == status and told in outcome.error


@pytest.mark.parametrize("num_gpus", [0, 2])
def test_a_batch_that_processes_cannot_share_is_refused(video_set, tmp_path, num_gpus: int):
    """Before anything is measured."""
    words = ["--processes", 1, 3, *tiny_arguments(video_set, tmp_path / "run", "NUM_GPUS", num_gpus)]
    outcome = run_tool("benchmark_train", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert (
        outcome.error == "TRAIN.BATCH_SIZE 4 cannot be shared by 3 processes; make it a multiple of every --processes"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps", 0], "--steps: '0'; accepted: whole numbers from 1"),
        (["--warmup", -1], "--warmup: '-1'; accepted: whole numbers from 1"),
        (["--processes", 1, "two"], "--processes: 'two'; accepted: whole numbers from 1, followed by another option"),
        (
            ["--processes", 1, "NUM_GPUS", 0],
            "--processes: 'NUM_GPUS'; accepted: whole numbers from 1, followed by another option",
        ),
    ],
)
def test_numbers_are_whole_and_from_one_on(words, message):
    outcome = run_tool("benchmark_train", *words)
    assert outcome.code == 2
    assert outcome.err.endswith(f"error: argument {message}\n")


def test_it_starts_its_processes_itself(video_set, tmp_path, monkeypatch):
    for name, value in {"RANK": 0, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 2, "WORLD_SIZE": 2, "MASTER_PORT": 9}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    outcome = run_tool("benchmark_train", *tiny_arguments(video_set, tmp_path / "run"))
    assert outcome.error == "this was started by torchrun; start it once, it starts the processes itself"


@pytest.mark.parametrize(
    ("loading", "computing", "told"),
    [
        (31.0, 10.0, "computing (loading alone is 3.1 times as fast)"),
        (10.0, 31.0, "loading (computing alone is 3.1 times as fast)"),
        (10.4, 10.0, "computing and loading alike (loading alone is 1.04 times as fast as computing alone)"),
        (10.0, 10.4, "computing and loading alike (loading alone is 0.96 times as fast as computing alone)"),
    ],
)
def test_the_bottleneck_is_the_slower_side(loading: float, computing: float, told: str):
    assert bottleneck(a_measurement(loading=loading, computing=computing)) == told


def test_efficiency_is_by_process():
    one, four = a_measurement(computing=10.0), replace(a_measurement(computing=30.0), num_processes=4)
    assert efficiency(four, one, COMPUTING) == pytest.approx(0.75)
    row = rows_of("\n".join(describe_training(load_config(None, []), [one, four])))[4, COMPUTING]
    assert row[-2:] == ["3.00", "75%"]


def a_measurement(*, loading: float = 10.0, computing: float = 10.0) -> TrainMeasurement:
    videos_per_s = {LOADING: loading, COMPUTING: computing, TOGETHER: min(loading, computing)}
    rates = {part: Rate(rate, rate, 0.1, 0.1, 0.1, 0.1, 0.0) for part, rate in videos_per_s.items()}
    return TrainMeasurement(1, 2, "CPU", "float32", 4, 4, 40, rates, 1e9, 0.5, 2**30)
