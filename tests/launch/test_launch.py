"""One entry for one process, several, several nodes and torchrun: the same result."""

import os
import re
import signal
import sys
import threading
from pathlib import Path

import pytest
import torch
from fvcore.common.config import CfgNode

from slowfast.config import load_config
from slowfast.errors import UserError
from slowfast.launch.launch import launch
from slowfast.runtime import distributed
from slowfast.runtime.interruption import raise_if_stopped
from tests.command_line import RUN_NET, run_commands, run_net, tiny_arguments
from tests.free_port import free_port
from tests.run_state import assert_same_figures, predictions, report


def trained_weights(output_dir: Path) -> dict[str, torch.Tensor]:
    path = output_dir / "checkpoints" / "checkpoint_epoch_00001.pyth"
    return torch.load(path, weights_only=True)["model_state"]


# Several processes


@pytest.mark.slow
def test_two_processes_train_as_one_and_score_every_video_once(video_set: Path, tmp_path: Path):
    """Under torchrun, with a validation list shorter than the processes are many, and an odd number of test videos."""
    (tmp_path / "lists").mkdir()
    for split, num_videos in {"train": 8, "val": 1, "test": 5}.items():
        lines = (video_set / f"{split}.csv").read_text().splitlines(keepends=True)
        (tmp_path / "lists" / f"{split}.csv").write_text("".join(lines[:num_videos]))
    # Without dropout and batch statistics, equal batches and averaged gradients give equal weights.
    overrides = ["UNIFORMERV2.MLP_DROPOUT", "[0.0]", "UNIFORMERV2.CLS_DROPOUT", 0, "UNIFORMERV2.NO_LMHRA", "True"]
    overrides += ["SOLVER.OPTIMIZING_METHOD", "sgd", "SOLVER.BASE_LR", 0.01, "SOLVER.MAX_EPOCH", 2]
    overrides += ["DATA.PATH_TO_DATA_DIR", tmp_path / "lists"]
    alone, together = (tiny_arguments(video_set, tmp_path / name, *overrides) for name in ("one", "two"))
    assert run_net(*alone).code == 0
    torchrun = ["-m", "torch.distributed.run", "--nproc_per_node", 2, "--master_port", free_port()]
    (outcome,) = run_commands([sys.executable, *torchrun, RUN_NET, *together])
    assert outcome.code == 0, outcome.err

    assert "effective batch of 4 clips: 4 videos on each of 1 nodes" in outcome.out
    assert "; 2 processes\n" in outcome.out and "2 epochs of 2 steps" in outcome.out
    expected = trained_weights(tmp_path / "one")
    for name, value in trained_weights(tmp_path / "two").items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6, msg=f"{name} differs")

    assert outcome.out.count("over 1 scored videos (1 expected, 0 failed)") == 2  # one process speaks, once per epoch
    assert outcome.out.count("over 5 scored videos (5 expected, 0 failed)") == 1
    assert [row["path"] for row in predictions(tmp_path / "two")] == [
        str(video_set / f"videos/test_{i}.mp4") for i in range(5)
    ]
    assert_same_figures(tmp_path / "one", tmp_path / "two", has_same_weights=False)


@pytest.mark.slow
def test_two_nodes_meet_at_an_address(video_set: Path, tmp_path: Path):
    """Each node has its own batch of four: both together take one step for eight videos."""
    overrides = ["TEST.NUM_ENSEMBLE_VIEWS", 1, "SOLVER.MAX_EPOCH", 2, "NUM_SHARDS", 2]
    arguments = tiny_arguments(video_set, tmp_path / "run", *overrides)
    tool = [sys.executable, RUN_NET, "--init_method", f"tcp://127.0.0.1:{free_port()}", "--shard_id"]
    outcomes = run_commands(*([*tool, shard_id, *arguments] for shard_id in range(2)))
    assert [outcome.code for outcome in outcomes] == [0, 0], "\n".join(outcome.err for outcome in outcomes)
    assert "effective batch of 8 clips: 4 videos on each of 2 nodes" in outcomes[0].out
    assert "; 2 processes\n" in outcomes[0].out and "2 epochs of 1 steps" in outcomes[0].out
    assert " INFO " not in outcomes[1].out  # one process speaks
    assert [row["path"] for row in predictions(tmp_path / "run")] == [
        str(video_set / f"videos/test_{i}.mp4") for i in range(6)
    ]
    summary = report(tmp_path / "run")
    assert (summary["expected"], summary["scored"], summary["failed"]) == (6, 6, 0)


@pytest.mark.slow
def test_a_mistake_that_one_of_several_processes_meets_is_told_once(video_set: Path, tmp_path: Path):
    """Spawned processes of one node: all stop, with one line and no traceback."""
    (tmp_path / "broken").mkdir()
    arguments = tiny_arguments(video_set, tmp_path / "run", "DATA.PATH_PREFIX", tmp_path / "broken")
    # How many processes a node has is told by the environment, too, which gives two of them on the CPU.
    (outcome,) = run_commands([sys.executable, RUN_NET, *arguments], environment={"LOCAL_WORLD_SIZE": "2"})
    assert re.match(r".*/videos/train_\d\.mp4 could not be read \(No such file", outcome.error)
    assert not (tmp_path / "run" / "checkpoints").exists()


# One process


def test_one_process_does_the_job_itself(monkeypatch: pytest.MonkeyPatch):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    cfg = load_config(None, ["NUM_GPUS", 0])
    seen = []
    launch(cfg, lambda *arguments: seen.append((*arguments, distributed.is_distributed())))
    assert seen == [(cfg, torch.device("cpu"), False)]


def test_the_jobs_mistakes_are_told_in_one_line_and_its_defects_go_through(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)

    def mistaken(cfg: CfgNode, device: torch.device) -> None:
        raise UserError("train.csv:3: no label")

    def defective(cfg: CfgNode, device: torch.device) -> None:
        raise ZeroDivisionError

    cfg = load_config(None, ["NUM_GPUS", 0])
    with pytest.raises(SystemExit) as stop:
        launch(cfg, mistaken)
    assert stop.value.code == 1 and capsys.readouterr().err == "error: train.csv:3: no label\n"
    with pytest.raises(ZeroDivisionError):
        launch(cfg, defective)


def test_a_job_that_is_asked_to_stop_ends_well(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    before = signal.getsignal(signal.SIGTERM)

    def stopped(cfg: CfgNode, device: torch.device) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise_if_stopped()
        raise AssertionError("the signal was not noted")

    launch(load_config(None, ["NUM_GPUS", 0]), stopped)
    assert "stopped by SIGTERM; the same command resumes from the last checkpoint\n" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_thread_that_cannot_note_signals_does_the_job_all_the_same(monkeypatch: pytest.MonkeyPatch):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    cfg, seen = load_config(None, ["NUM_GPUS", 0]), []
    thread = threading.Thread(target=launch, args=(cfg, lambda *arguments: seen.append(arguments)))
    thread.start()
    thread.join(timeout=30)
    assert seen == [(cfg, torch.device("cpu"))]


def test_a_gpu_without_memory_is_told_with_the_keys_that_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)

    def too_large(cfg: CfgNode, device: torch.device) -> None:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.20 GiB "
            "is free. If reserved but unallocated memory is large try setting PYTORCH_ALLOC_CONF."
        )

    cfg = load_config(None, ["NUM_GPUS", 0, "TRAIN.BATCH_SIZE", 12, "TEST.BATCH_SIZE", 6, "SOLVER.ACCUM_STEPS", 2])
    with pytest.raises(SystemExit) as stop:
        launch(cfg, too_large)
    (line,) = capsys.readouterr().err.splitlines()
    sizes = "Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.20 GiB is free. In training"
    assert stop.value.code == 1 and line.startswith(f"error: CUDA out of memory. {sizes}")
    assert "TRAIN.BATCH_SIZE 12 (and raise SOLVER.ACCUM_STEPS 2" in line and "TEST.BATCH_SIZE 6" in line
    assert "MODEL.USE_CHECKPOINT True" in line and "DATA.NUM_FRAMES 8" in line and "PYTORCH_ALLOC_CONF" not in line


def test_the_tool_explains_its_arguments():
    outcome = run_net("--help")
    assert outcome.code == 0
    assert all(option in outcome.out for option in ("--init_method", "--num_shards", "--shard_id"))


def test_the_option_of_the_old_launcher_is_accepted(video_set: Path, tmp_path: Path):
    """torch.distributed.launch gives each process its rank on the command line, too, spelt either way."""
    arguments = tiny_arguments(video_set, tmp_path, "NUM_SHARDS", 2)
    for option in ("--local-rank=0", "--local_rank=0"):
        outcome = run_net(option, *arguments)  # as far as without it
        assert outcome.error.startswith("NUM_SHARDS 2, but this would start one node alone; ")
    assert run_net("--local-rank=1", *arguments).error == (
        "--local-rank is 1, but the environment has LOCAL_RANK 0; leave the option to the launcher, or start with "
        "torchrun"
    )


@pytest.mark.slow
def test_the_old_launcher_starts_a_run(video_set: Path, tmp_path: Path):
    words = ["-m", "torch.distributed.launch", "--nproc_per_node", 2, "--master_port", free_port(), RUN_NET]
    (outcome,) = run_commands([sys.executable, *words, *tiny_arguments(video_set, tmp_path, "SOLVER.MAX_EPOCH", 1)])
    assert outcome.code == 0, outcome.err
    assert "; 2 processes\n" in outcome.out


def test_the_number_of_nodes_may_be_an_option(video_set: Path, tmp_path: Path):
    arguments = tiny_arguments(video_set, tmp_path)
    outcome = run_net("--num_shards", 2, *arguments)
    assert outcome.error.startswith("NUM_SHARDS 2, but this would start one node alone; ")
    outcome = run_net("--num_shards", 2, *arguments, "NUM_SHARDS", 3)
    assert outcome.error == "--num_shards 2 contradicts NUM_SHARDS 3; leave one of them out"
