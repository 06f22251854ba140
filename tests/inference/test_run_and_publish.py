"""A training leaves its best model as a folder, which says the figures of its test; what cannot be one is a warning."""

import shutil
from pathlib import Path

import pytest
import torch

from slowfast.inference import load_model, run_and_publish
from tests.command_line import run_net, tiny_arguments
from tests.run_state import predictions


@pytest.mark.slow
def test_a_training_publishes_its_best_model(video_set: Path, tmp_path: Path):
    overrides = ["SOLVER.MAX_EPOCH", 2, "TRAIN.PUBLISH", "True", "TEST.TEST_BEST", "True"]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides))
    folder = tmp_path / "run" / "model"
    assert outcome.code == 0 and f"{folder}: this is the published function" in outcome.out
    model = load_model(folder, device="cpu")
    rows = predictions(tmp_path / "run")
    scores = torch.tensor([[*map(float, row["scores"].split())] for row in rows])
    found = model.predict([row["path"] for row in rows])
    torch.testing.assert_close(torch.stack([each.scores for each in found]), scores, rtol=0, atol=1e-5)
    assert "over 6 of 6 videos" in (folder / "README.md").read_text()
    # The same run again: it is complete, and its model is replaced. The test is of the last checkpoint.
    assert run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides[:-1], "False")).code == 0
    assert load_model(folder, device="cpu").fingerprint == model.fingerprint
    assert "of 6 videos" not in (folder / "README.md").read_text()


def test_a_bad_test_video_costs_no_model_and_no_page(video_set: Path, tmp_path: Path):
    videos = Path(shutil.copytree(video_set, tmp_path / "videos"))
    (videos / "bad.mp4").write_text("no video")
    with (videos / "test.csv").open("a") as rows:
        rows.write("bad.mp4,0\n")
    overrides = ["SOLVER.MAX_EPOCH", 1, "SOLVER.WARMUP_EPOCHS", 0, "TRAIN.PUBLISH", "True", "TEST.PAGE", "True"]
    outcome = run_net(*tiny_arguments(videos, tmp_path / "run", *overrides))
    page = tmp_path / "run" / "test" / "report.html"
    assert f"page for people: {page}" in outcome.out and "bad.mp4" in page.read_text()
    assert outcome.error.startswith("1 of 7 test videos could not be read")
    assert "published function" in load_model(tmp_path / "run" / "model", device="cpu").proof


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("odd model")])
def test_what_cannot_be_published_or_shown_is_a_warning(
    error: Exception, video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(f"{run_and_publish.__name__}.publish", refuse)
    monkeypatch.setattr(f"{run_and_publish.__name__}.write_page", refuse)
    overrides = ["SOLVER.MAX_EPOCH", 1, "SOLVER.WARMUP_EPOCHS", 0, "TRAIN.PUBLISH", "True", "TEST.PAGE", "True"]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides))
    assert outcome.code == 0 and (tmp_path / "run" / "test" / "report.json").is_file()
    told = [line for line in outcome.out.splitlines() if "the model is not published" in line]
    assert len(told) == 1 and "uniformer publish CHECKPOINT" in told[0]
    assert not (tmp_path / "run" / "model").exists()
    told = [line for line in outcome.out.splitlines() if "the page of the test is not written" in line]
    assert len(told) == 1 and f"uniformer report {tmp_path / 'run'} writes it later" in told[0]
