"""A model of two heads: training averages their losses, everything else takes the first."""

from contextlib import closing
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from slowfast.engine.build import build_run
from slowfast.engine.step import take_step
from tests.command_line import run_net, tiny_arguments, tiny_config
from tests.models.weights.layouts import TINY_LIGHT
from tests.run_state import metrics

CPU = torch.device("cpu")
LIGHT = {key: value for key, value in TINY_LIGHT.items() if key != "MODEL.NUM_CLASSES"} | {
    "DATA.TRAIN_CROP_SIZE": 32,
    "DATA.TEST_CROP_SIZE": 32,
    "DATA.TRAIN_JITTER_SCALES": [32, 40],
    "MODEL.USE_CHECKPOINT": True,
    "MODEL.CHECKPOINT_NUM": [0, 0, 2, 0],
}
OVERRIDES = [word for pair in LIGHT.items() for word in pair]


@pytest.mark.parametrize("has_mixup", [False, True])
def test_the_loss_is_the_mean_of_both_heads(has_mixup: bool, video_set: Path, tmp_path: Path):
    mixed = ["MIXUP.ENABLE", True, "MODEL.LOSS_FUNC", "soft_cross_entropy"] if has_mixup else []
    run = build_run(tiny_config(video_set, tmp_path, *OVERRIDES, *mixed), CPU)
    outputs, targets, loss = [], [], run.loss
    run.model.register_forward_hook(lambda _model, _clips, output: outputs.append(output))
    run.loss = lambda logits, target: targets.append(target) or loss(logits, target)
    with closing(run.metrics):
        result = take_step(run, iter(run.train_loader), 0, 0, 0)
    ((logits, class_logits),) = outputs
    assert targets[0] is targets[1] and targets[0].is_floating_point() == has_mixup
    expected = 0.5 * F.cross_entropy(logits, targets[0]) + 0.5 * F.cross_entropy(class_logits, targets[0])
    torch.testing.assert_close(result.losses, expected.detach().view(1))
    if not has_mixup:
        assert result.num_correct == (logits.argmax(1) == targets[0]).sum()
    assert run.model.head_cls.weight.grad.any() and run.model.norm_cls.weight.grad.any()


def test_a_run_trains_tests_and_resumes(video_set: Path, tmp_path: Path):
    arguments = [*OVERRIDES, "SOLVER.MAX_EPOCH", 1, "SOLVER.WARMUP_EPOCHS", 0, "TRAIN.PUBLISH", True]
    outcome = run_net(*tiny_arguments(video_set, tmp_path, *arguments))
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "test" / "report.json").exists() and (tmp_path / "model" / "proof.json").exists()
    again = run_net(*tiny_arguments(video_set, tmp_path, *arguments, "SOLVER.MAX_EPOCH", 2))
    assert again.code == 0, again.err
    assert {line["epoch"] for line in metrics(tmp_path, "train")} == {1, 2}
