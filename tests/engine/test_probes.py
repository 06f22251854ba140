"""Temporal probes of real tests: with models that see the order of frames, and that cannot."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from slowfast.datasets import build_dataset, build_loader
from slowfast.datasets.clip_dataset import EvalClipDataset
from slowfast.engine.reporting import report_on
from slowfast.engine.scoring import Scorer
from slowfast.evaluation.probes.temporal_probes import orders_of_probes
from slowfast.evaluation.report_files import load_report
from tests.command_line import Outcome, run_net, run_tool, tiny_arguments, tiny_config
from tests.engine.test_multi_label import multi_label_arguments
from tests.run_state import predictions, report

CPU = torch.device("cpu")
NAMES = ["shuffled", "reversed", "frozen_first", "frozen_middle", "frozen_last", "half_rate"]
MORE_FRAMES = ["DATA.NUM_FRAMES", 8]
V1 = [
    *("MODEL.MODEL_NAME", "Uniformer", "UNIFORMER.DEPTH", [1, 1, 1, 1], "UNIFORMER.EMBED_DIM", [8, 8, 16, 16]),
    *("UNIFORMER.HEAD_DIM", 8, "DATA.TEST_CROP_SIZE", 32, "DATA.TRAIN_CROP_SIZE", 32),
    *("DATA.TRAIN_JITTER_SCALES", [32, 36]),
]
ONE_EPOCH = ["SOLVER.MAX_EPOCH", 1, "SOLVER.WARMUP_EPOCHS", 0.0]


class FirstFrame(nn.Module):
    """Compares the first two frames: it sees the order, and nothing else."""

    num_clips = 0

    def forward(self, clips: Tensor) -> Tensor:
        self.num_clips += len(clips)
        rows = clips.mean(dim=(1, 3, 4))  # (N, T)
        return torch.stack([rows[:, 1] - rows[:, 0], rows[:, 0] - rows[:, 1]], dim=1)


class MeanFrame(nn.Module):
    """Sees what is in the frames together, in whatever order (to the last bit: the mean is that of sorted numbers)."""

    def forward(self, clips: Tensor) -> Tensor:
        brightness = clips.mean(dim=(1, 3, 4)).sort(dim=1).values.mean(dim=1)
        return torch.stack([brightness, -brightness], dim=1)


def probed_scorer(video_set: Path, *overrides: object) -> tuple[Scorer, EvalClipDataset, object]:
    cfg = tiny_config(video_set, Path("unused"), "TEST.PROBES", "[all]", *MORE_FRAMES, *overrides)
    orders = orders_of_probes(cfg.TEST.PROBES, cfg.DATA.NUM_FRAMES)
    dataset = build_dataset(cfg, "test")
    return replace(Scorer.from_config(cfg, CPU), orders=orders), dataset, build_loader(cfg, dataset)


def test_a_model_that_is_blind_to_order_has_no_gap(video_set: Path):
    scorer, dataset, loader = probed_scorer(video_set)
    result = scorer.score_loader(MeanFrame(), loader)
    for name in (*(f"shuffled_{i}" for i in range(1, 6)), "reversed"):
        assert torch.equal(result.probes[name], result.scores)
    assert not torch.equal(result.probes["frozen_first"], result.scores)
    told, _ = report_on(result, dataset, scorer, None)
    assert [told.probes["probes"][name]["gap"] for name in NAMES[:2]] == [0, 0]


def test_each_probe_is_scored_and_combined_as_the_usual_clips_are(video_set: Path, monkeypatch: pytest.MonkeyPatch):
    """A video's probe has the scores that a video with its frames in that order would have, in one decoding."""
    reads, read = [], EvalClipDataset._read
    monkeypatch.setattr(EvalClipDataset, "_read", lambda self, *args: reads.append(args[0]) or read(self, *args))
    scorer, dataset, loader = probed_scorer(video_set)
    model = FirstFrame()
    result = scorer.score_loader(model, loader)
    assert reads == [*range(6)] and model.num_clips == 6 * 6 * 11
    assert [*result.probes] == [*scorer.orders]
    views = [dataset[key].views for key in loader.sampler]
    usual = Scorer.from_config(tiny_config(video_set, Path("unused"), *MORE_FRAMES), CPU)
    for name, order in {"usual": [*range(8)], **scorer.orders}.items():
        rows = [usual._combine(usual._compute(model, each[:, :, order]), 6) for each in views]
        expected = result.scores if name == "usual" else result.probes[name]
        torch.testing.assert_close(expected, torch.cat(rows), rtol=0, atol=1e-6)
    assert (result.probes["frozen_middle"] == 0.5).all()


@pytest.mark.parametrize("model", [[], V1], ids=["UniFormerV2", "UniFormer"])
def test_a_test_with_probes_reports_them_and_scores_as_without(model: list[object], video_set: Path, tmp_path: Path):
    start = tmp_path / "start"
    trained = run_net(*tiny_arguments(video_set, start, *MORE_FRAMES, *model, *ONE_EPOCH, "TEST.PROBES", "[shuffled]"))
    assert trained.code == 0, trained.err
    assert trained.out.count("temporal probes over 6 videos") == 1, "of the test; validations are not probed"
    keys = [*MORE_FRAMES, *model, "TRAIN.ENABLE", False]
    probed = run_net(*tiny_arguments(video_set, start, *keys, "TEST.PROBES", "[all]"))
    assert probed.code == 0, probed.err
    content, rows = report(start), predictions(start)
    assert [*content["probes"]["probes"]] == NAMES and content["probes"]["normal"] == content["top1"]
    for figure in content["probes"]["probes"].values():
        low, high = figure["interval"]
        assert low < figure["gap"] < high and figure["gap"] == pytest.approx(content["top1"] - figure["value"])
    assert "  order gap\n" in probed.out and "  reversal gap\n" in probed.out
    assert "over 6 scored videos (6 expected, 0 failed), order gap " in probed.out
    assert json.loads(json.dumps(load_report(start).probes)) == content["probes"]
    assert run_net(*tiny_arguments(video_set, start, *keys)).code == 0
    assert predictions(start) == rows and "probes" not in report(start)
    assert run_tool("verify", start).code == 2  # it reads the report; the checkpoint is none of those published


def test_probes_of_videos_with_several_labels(video_set: Path, tmp_path: Path):
    outcome = run_net(*multi_label_arguments(video_set, tmp_path, "TEST.PROBES", "[shuffled, reversed]", *MORE_FRAMES))
    assert outcome.code == 0, outcome.err
    content = json.loads((tmp_path / "run" / "test" / "report.json").read_text())
    assert content["probes"]["measure"] == "mean_average_precision"
    assert content["probes"]["normal"] == content["mean_average_precision"]
    assert "temporal probes over 6 videos: mean average precision" in outcome.out


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["TEST.PROBES", "[backwards]"], "TEST.PROBES is ['backwards']; accepted: each item one of all, shuffled, "),
        (["TEST.PROBES", "reversed"], "TEST.PROBES takes a list, each item a str"),
        (
            ["TEST.PROBES", "[reversed]", "DATA.NUM_FRAMES", 1],
            "TEST.PROBES is ['reversed'] and DATA.NUM_FRAMES 1; clips of one frame have no order: give them 2 or more",
        ),
    ],
)
def test_probes_that_there_are_not(
    overrides: list[object], told: str, finished_run: tuple[Path, Outcome], video_set: Path, tmp_path: Path
):
    assert told in run_net(*tiny_arguments(video_set, tmp_path, *overrides)).error
