"""What training gives the model is erased after its normalisation."""

from contextlib import closing
from pathlib import Path

import pytest
import torch

from slowfast.engine.build import build_run
from slowfast.engine.step import take_step
from slowfast.engine.train import training_clips
from tests.command_line import tiny_config

CPU = torch.device("cpu")
ERASING = ["AUG.ENABLE", True, "AUG.AA_TYPE", "", "AUG.COLOR_JITTER", 0.0, "AUG.RE_PROB", 1.0]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_the_model_gets_noise_beyond_black_and_white(num_workers: int, video_set: Path, tmp_path: Path):
    run = build_run(tiny_config(video_set, tmp_path, *ERASING, "DATA_LOADER.NUM_WORKERS", num_workers), CPU)
    given = []
    run.model.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
    with closing(run.metrics):
        take_step(run, iter(run.train_loader), 0, 0, 0)
    (clips,) = given
    black, white = run.normalize(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1, 1).expand(2, 3, 1, 1, 1))
    is_outside = (clips < black.min() - 1e-4) | (clips > white.max() + 1e-4)
    assert is_outside.flatten(1).any(dim=1).all()
    # What BatchNorm's statistics are computed from is the same.
    assert torch.equal(next(training_clips(run, 0)), clips)
