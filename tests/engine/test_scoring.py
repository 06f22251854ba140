"""Scoring any videos with a trained model, in a few lines and as a test of the same config would."""

import signal
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from slowfast.config import load_config
from slowfast.datasets import build_dataset
from slowfast.datasets.clip_dataset import EvalClipDataset
from slowfast.datasets.records import SampleKey, VideoRecord
from slowfast.engine.scoring import Scorer
from slowfast.engine.trained_model import load_trained_model
from slowfast.runtime.interruption import Interrupted
from tests.command_line import Outcome, tiny_config
from tests.run_state import predictions

CPU = torch.device("cpu")
UNUSED = Path("unused")  # OUTPUT_DIR of what writes nothing


def scores_of_test(output_dir: Path) -> tuple[list[str], Tensor]:
    """Paths and scores of a test's report."""
    rows = predictions(output_dir)
    return [row["path"] for row in rows], torch.tensor([[*map(float, row["scores"].split())] for row in rows])


class Brightness(nn.Module):
    """Logits are the means of a clip's channels: a model that can be checked by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_sizes: list[int] = []

    def forward(self, clips: Tensor) -> Tensor:
        assert not self.training and torch.is_inference_mode_enabled()
        self.batch_sizes.append(len(clips))
        return clips.mean(dim=(2, 3, 4))


def test_three_lines_score_a_video_as_the_test_of_the_run_did(finished_run: tuple[Path, Outcome]):
    output_dir, _ = finished_run
    paths, scores = scores_of_test(output_dir)
    video = paths[4]

    cfg = load_config(output_dir / "config.yaml")
    model, _ = load_trained_model(cfg, str(output_dir / "checkpoints" / "checkpoint_last.pyth"), CPU)
    result = Scorer.from_config(cfg, CPU).score_records(model, [VideoRecord(video, label=0)])

    assert result.video_idx.tolist() == [0] and result.failures == []
    assert result.scores.dtype is torch.float32
    torch.testing.assert_close(result.scores, scores[4:5], rtol=0, atol=1e-6)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_scores_come_in_the_order_of_the_records_and_failures_with_their_cause(
    num_workers: int, finished_run: tuple[Path, Outcome], tmp_path: Path
):
    output_dir, _ = finished_run
    paths, scores = scores_of_test(output_dir)
    (tmp_path / "text.mp4").write_text("no video")
    wanted = [paths[5], str(tmp_path / "missing.mp4"), paths[0], str(tmp_path / "text.mp4"), paths[3], paths[0]]
    cfg = load_config(output_dir / "config.yaml", ["DATA_LOADER.NUM_WORKERS", num_workers])
    model, _ = load_trained_model(cfg, str(output_dir / "checkpoints" / "checkpoint_last.pyth"), CPU)
    model.train()
    before = torch.get_rng_state()
    result = Scorer.from_config(cfg, CPU).score_records(model, [VideoRecord(path, label=9) for path in wanted])
    assert result.video_idx.tolist() == [0, 2, 4, 5]
    torch.testing.assert_close(result.scores, scores[[5, 0, 3, 0]], rtol=0, atol=1e-6)
    assert [path for path, _ in result.failures] == [wanted[1], wanted[3]]
    assert "No such file" in result.failures[0][1] and result.failures[1][1]
    assert model.training, "the mode of before"
    assert torch.equal(torch.get_rng_state(), before), "scoring draws no random numbers of the process"


def test_videos_that_cannot_be_read_at_all_and_no_videos(video_set: Path, tmp_path: Path):
    scorer = Scorer.from_config(tiny_config(video_set, UNUSED), CPU)
    result = scorer.score_records(Brightness(), [VideoRecord(str(tmp_path / "missing.mp4"), label=0)])
    assert (len(result.video_idx), len(result.scores), len(result.failures)) == (0, 0, 1)
    result = scorer.score_records(Brightness(), [])
    assert (len(result.video_idx), len(result.scores), len(result.failures)) == (0, 0, 0)


def test_views_are_scored_and_combined_as_the_config_says(video_set: Path):
    """Two clips of three crops each, four views per pass."""
    record = VideoRecord(str(video_set / "videos" / "test_2.mp4"), label=0)
    results, model = {}, Brightness()
    for name, overrides in {
        "probabilities": [],
        "averaged logits": ["TEST.ADD_SOFTMAX", "False"],
        "largest logits": ["TEST.ADD_SOFTMAX", "False", "DATA.ENSEMBLE_METHOD", "max"],
    }.items():
        cfg = tiny_config(video_set, UNUSED, "TEST.BATCH_SIZE", 4, *overrides)
        results[name] = Scorer.from_config(cfg, CPU).score_records(model, [record]).scores
    assert model.batch_sizes == [4, 2] * 3
    views = build_dataset(cfg, "test")[SampleKey(epoch=0, video_idx=2)].views
    mean, std = (torch.tensor(values)[:, None, None, None] for values in (cfg.DATA.MEAN, cfg.DATA.STD))
    logits = ((views / 255 - mean) / std).mean(dim=(2, 3, 4))  # (6, 3)
    expected = {
        "probabilities": logits.softmax(1).mean(0),
        "averaged logits": logits.mean(0),
        "largest logits": logits.amax(0),
    }
    for name, scores in results.items():
        torch.testing.assert_close(scores[0], expected[name], rtol=0, atol=1e-5)


def test_a_run_of_several_labels_scores_videos_without_labels(video_set: Path):
    cfg = tiny_config(video_set, UNUSED, "DATA.MULTI_LABEL", "True", "MODEL.LOSS_FUNC", "bce_logit")
    record = VideoRecord(str(video_set / "videos" / "test_2.mp4"), label=0)
    scorer = Scorer.from_config(cfg, CPU)
    scores = scorer.score_records(Brightness(), [record, record._replace(label=(0, 1))]).scores
    assert torch.equal(scores[0], scores[1])
    assert (scores.sum(1) - 1).abs().min() > 1e-3  # sigmoids, no softmax


def test_a_scorer_may_be_made_of_plain_arguments_alone(video_set: Path):
    """As a feature extraction may: no probabilities, another normalisation."""
    dataset = build_dataset(tiny_config(video_set, UNUSED), "test")
    scorer = Scorer(
        device=CPU,
        normalize=lambda clips: clips.float(),
        build_dataset=lambda records: EvalClipDataset(
            [replace(dataset.lists[0], records=records)], transform=dataset.transform
        ),
        has_probabilities=False,
    )
    model = Brightness()
    result = scorer.score_records(model, dataset.records[1:2])
    assert model.batch_sizes == [1] * 3  # three crops of one clip, one per pass
    assert result.scores.shape == (1, 3) and result.scores.min() > 1 and result.scores.max() < 256


@pytest.mark.parametrize("is_damaged", [False, True])
def test_every_part_of_the_model_is_in_its_mode_again(video_set: Path, is_damaged: bool):
    class Parts(Brightness):
        def __init__(self) -> None:
            super().__init__()
            self.frozen, self.trained = nn.BatchNorm3d(3).eval(), nn.BatchNorm3d(3 + is_damaged)

        def forward(self, clips: Tensor) -> Tensor:
            return super().forward(self.trained(self.frozen(clips)))

    scorer, model = Scorer.from_config(tiny_config(video_set, UNUSED), CPU), Parts()
    with pytest.raises(RuntimeError) if is_damaged else nullcontext():
        scorer.score_records(model, [VideoRecord(str(video_set / "videos" / "test_0.mp4"), label=0)])
    assert [part.training for part in model.modules()] == [True, False, True]


def test_scoring_stops_when_it_is_asked_to(video_set: Path, monkeypatch: pytest.MonkeyPatch):
    scorer, model = Scorer.from_config(tiny_config(video_set, UNUSED), CPU), Brightness()
    monkeypatch.setattr("slowfast.runtime.interruption._received", signal.SIGTERM)
    with pytest.raises(Interrupted, match="SIGTERM"):
        scorer.score_records(model, [VideoRecord(str(video_set / "videos" / "test_0.mp4"), label=0)])
    assert model.batch_sizes == []
