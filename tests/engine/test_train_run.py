"""The state of a run: what is saved is what is restored."""

import copy
from contextlib import closing
from pathlib import Path

import pytest
import torch

from slowfast.engine.build import build_run
from slowfast.engine.rank_agreement import StepFlags
from slowfast.engine.step import StepResult
from slowfast.engine.train import finish_epoch, train_epoch
from slowfast.engine.train_run import Progress
from tests.command_line import tiny_config
from tests.run_state import assert_same

CPU = torch.device("cpu")


@pytest.mark.parametrize("is_within_epoch", [True, False])
def test_a_restored_run_saves_what_it_was_restored_from(is_within_epoch: bool, video_set: Path, tmp_path: Path):
    """Weights, their EMA, moments, loss scale, progress and random generators; the folder is each run's own."""
    overrides = ["MODEL.EMA_EPOCH", 0, "MODEL.EMA_DECAY", 0.5, "TRAIN.MIXED_PRECISION_DTYPE", "fp16"]
    run = build_run(tiny_config(video_set, tmp_path / "one", *overrides), CPU)
    with closing(run.metrics):
        train_epoch(run)
        if not is_within_epoch:
            finish_epoch(run)
    assert (run.progress.num_epochs, run.progress.num_steps) == ((0, 2) if is_within_epoch else (1, 0))
    content = copy.deepcopy(run.state_dict())
    other = build_run(tiny_config(video_set, tmp_path / "other", *overrides), CPU)
    other.metrics.close()
    assert other.progress == Progress()
    assert other.load_state_dict(copy.deepcopy(content), tmp_path / "one.pyth") == []
    assert other.progress.rank_state is not None if is_within_epoch else other.progress.rank_state is None
    found = other.state_dict()
    assert list(found) == list(content)
    for name in content.keys() - {"config"}:
        assert_same(found[name], content[name], name)


def test_a_run_says_what_differs_from_the_one_that_was_stopped(video_set: Path, tmp_path: Path):
    run = build_run(tiny_config(video_set, tmp_path / "one"), CPU)
    with closing(run.metrics):
        train_epoch(run)
    content = run.state_dict()
    other = build_run(tiny_config(video_set, tmp_path / "other", "TRAIN.BATCH_SIZE", 2, "RNG_SEED", 3), CPU)
    other.metrics.close()
    assert other.load_state_dict({**content, "rank_states": [None, None]}, tmp_path / "one.pyth") == [
        "RNG_SEED is 3 and was 1",
        "there are 1 processes and were 2",
        "a step takes 2 videos and took 4",
    ]
    assert other.progress == Progress(0, 4, -1.0, None)


def test_nobody_has_said_a_thing_before_the_first_step():
    results = [
        StepResult(idx, torch.ones(1), torch.ones(()), torch.tensor(idx == 0), [], torch.ones(()), 1, 0.0, 0)
        for idx in range(2)
    ]
    flags = StepFlags(CPU)
    first = flags.exchange(results[0], is_save_due=True, is_stop_asked=False)
    assert not (first.has_diverged or first.is_save_due or first.is_stop_asked or first.is_checkpoint_wanted)
    second = flags.exchange(results[1], is_save_due=False, is_stop_asked=True)
    assert second.result is results[0] and second.has_diverged and second.is_save_due and not second.is_stop_asked
    last = flags.settle()
    assert last.result is results[1] and not last.has_diverged and last.is_stop_asked
