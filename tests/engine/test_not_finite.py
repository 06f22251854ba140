"""Scores that are not finite are no predictions, and weights that give them are never the best."""

import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from slowfast.datasets.records import VideoRecord
from slowfast.engine.scoring import Scorer
from tests.command_line import RUN_NET, Outcome, run_commands, run_net, tiny_arguments, tiny_config
from tests.run_state import checkpoint, metrics, predictions, report

CPU = torch.device("cpu")
SAME = ["MODEL.CHECKPOINT_CLASS_ORDER", "same"]


def changed_weights(finished_run: tuple[Path, Outcome], path: Path, part: str, value: float) -> Path:
    """The weights of the run, as others save them, with one value in every tensor whose name has the part."""
    weights = checkpoint(finished_run[0], 3)["model_state"]
    named = [name for name in weights if part in name]
    assert named
    torch.save({"model_state": weights | {name: torch.full_like(weights[name], value) for name in named}}, path)
    return path


class OddFor(nn.Module):
    """Finite logits, but for one value in the given views, counted over all clips."""

    def __init__(self, views: set[int], value: float) -> None:
        super().__init__()
        self.views, self.value, self.num_clips = views, value, 0

    def forward(self, clips: Tensor) -> Tensor:
        logits = torch.tensor([[1.0, 2.0]]).repeat(len(clips), 1)
        for row in range(len(clips)):
            if self.num_clips + row in self.views:
                logits[row, 0] = self.value
        self.num_clips += len(clips)
        return logits


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("overrides", [[], ["DATA.ENSEMBLE_METHOD", "max"], ["TEST.ADD_SOFTMAX", "False"]])
@pytest.mark.parametrize("loss", ["cross_entropy", "bce_logit"])
def test_one_odd_number_in_one_view_leaves_the_video_out(
    video_set: Path, tmp_path: Path, value: float, overrides: list[str], loss: str
):
    """Six views a video; a sigmoid, a softmax or a maximum may make finite numbers of it."""
    multi_label = ["DATA.MULTI_LABEL", loss == "bce_logit", "MODEL.LOSS_FUNC", loss]
    cfg = tiny_config(video_set, tmp_path, *multi_label, *overrides)
    videos = [str(video_set / "videos" / f"test_{i}.mp4") for i in range(3)]
    result = Scorer.from_config(cfg, CPU).score_records(OddFor({8}, value), [VideoRecord(path, 0) for path in videos])
    assert result.video_idx.tolist() == [0, 2] and result.scores.isfinite().all() and result.scores.shape == (2, 2)
    ((idx, path, cause),) = result.unscored
    assert (idx, path, cause) == (1, videos[1], "the model's output is not finite in 1 of 6 views")


def test_views_whose_mean_is_beyond_float32_leave_the_video_out(video_set: Path, tmp_path: Path):
    cfg = tiny_config(video_set, tmp_path, "TEST.ADD_SOFTMAX", "False")
    record = VideoRecord(str(video_set / "videos" / "test_0.mp4"), 0)
    result = Scorer.from_config(cfg, CPU).score_records(OddFor(set(range(6)), 3e38), [record])
    assert len(result.video_idx) == 0
    assert result.unscored[0].cause == "its views together are beyond the numbers of float32"


def test_a_test_of_such_weights_counts_and_names_all_videos_and_fails(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    weights = changed_weights(finished_run, tmp_path / "weights.pyth", "proj.2.weight", 3e38)
    overrides = ["TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", weights, *SAME]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides))
    assert outcome.code == 1
    told = "6 of 6 test videos have scores that are not finite (named in"
    assert outcome.error.startswith(told) and "TEST.MIXED_PRECISION False" in outcome.error
    assert "over 0 scored videos (6 expected, 0 failed, 6 not scored)" in outcome.out
    summary = report(tmp_path / "run")
    assert (summary["scored"], summary["failed"], summary["unscored"]) == (0, 0, 6)
    assert summary["top1"] is None and predictions(tmp_path / "run") == []
    paths = [str(video_set / "videos" / f"test_{i}.mp4") for i in range(6)]
    assert [path for path, _ in summary["unscored_videos"]] == paths
    assert all(f"ERROR {path} is not scored: the model's output is not finite in " in outcome.out for path in paths)


def test_weights_whose_validation_is_not_finite_are_not_the_best(
    finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    """Running variances below 0: training, which does not use them, goes on with a finite loss."""
    weights = changed_weights(finished_run, tmp_path / "weights.pyth", "running_var", -1e30)
    overrides = ["TRAIN.CHECKPOINT_FILE_PATH", weights, *SAME, "SOLVER.MAX_EPOCH", 2, "TEST.ENABLE", "False"]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides))
    assert outcome.code == 0, outcome.err
    assert all(line["loss"] is not None for line in metrics(tmp_path / "run", "train"))
    lines = metrics(tmp_path / "run", "val")
    assert [(line["scored"], line["unscored"], line["top1"]) for line in lines] == [(0, 4, None)] * 2
    assert not (tmp_path / "run" / "checkpoints" / "checkpoint_best.pyth").exists()
    assert checkpoint(tmp_path / "run", 1)["best_accuracy"] == -1.0
    told = r"WARNING the scores of 4 of 4 validation videos are not finite: the weights after epoch [12] are no use"
    assert len(re.findall(told, outcome.out)) == 2


def test_a_validation_that_leaves_one_video_out_does_not_become_the_best(
    video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The accuracy over the others may well be higher than ever."""
    compute, calls = Scorer._compute, []

    def odd_in_second_validation(self: Scorer, model: nn.Module, clips: Tensor) -> Tensor:
        calls.append(len(clips))
        logits = compute(self, model, clips).clone()
        if 4 < sum(calls) <= 8:
            logits[-1] = float("nan")
        return logits

    monkeypatch.setattr(Scorer, "_compute", odd_in_second_validation)
    overrides = ["SOLVER.MAX_EPOCH", 2, "TEST.ENABLE", "False", "MODEL.EMA_EPOCH", 9]
    assert run_net(*tiny_arguments(video_set, tmp_path, *overrides)).code == 0
    assert [line["unscored"] for line in metrics(tmp_path, "val")] == [0, 1]
    best = torch.load(tmp_path / "checkpoints" / "checkpoint_best.pyth", weights_only=True)
    assert best["epoch"] == 0


@pytest.mark.slow
def test_two_processes_report_the_same(finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path):
    weights = changed_weights(finished_run, tmp_path / "weights.pyth", "proj.2.weight", 3e38)
    arguments = ["TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", weights, *SAME]
    (outcome,) = run_commands(
        [sys.executable, RUN_NET, *tiny_arguments(video_set, tmp_path / "run", *arguments)],
        environment={"LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"},
    )
    assert outcome.error.startswith("6 of 6 test videos have scores that are not finite")
    assert [path for path, _ in report(tmp_path / "run")["unscored_videos"]] == [
        str(video_set / "videos" / f"test_{i}.mp4") for i in range(6)
    ]
    shutil.rmtree(tmp_path / "run")
