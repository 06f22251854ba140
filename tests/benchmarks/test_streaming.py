"""What a stream saves, and that its memory stays as it is."""

import re
from pathlib import Path

import pytest

from slowfast.benchmarks.streaming import describe_savings, measure_decisions, measure_memory, measure_saving
from slowfast.cli.main import main
from slowfast.errors import UserError
from tests.inference.models import small_classifier
from tests.inference.test_stream import scene_classifier
from tests.videos import write_video


def test_a_new_frame_takes_less_than_a_window_and_gives_its_logits():
    saving = measure_saving(scene_classifier(16).cfg, next(scene_classifier().model.parameters()).device, num_rounds=3)
    assert saving.difference < 1e-5 and saving.num_frames == 16
    assert saving.tick.min_cpu_s < saving.whole.min_cpu_s
    header, _, row = describe_savings([saving])
    assert header.count("|") == row.count("|") and row.startswith("| 16 | ")


@pytest.mark.parametrize("family", ["uniformer_light", "uniformerv2"])
def test_predictions_per_second_are_counted_from_the_second_window_on(family: str, tmp_path: Path):
    """30 frames at 25 per second, a window of 16 of them for every second frame."""
    video, cfg = write_video(tmp_path / "video.mp4", 30), small_classifier(family).cfg
    decisions = measure_decisions(
        cfg, str(video), window_s=0.64, stride_s=0.08 if family == "uniformer_light" else 0.16
    )
    assert decisions.num_frames == 15  # the first window ends with the 15th
    assert decisions.num_windows == (7 if family == "uniformer_light" else 3)
    assert decisions.cpu_s > 0 and decisions.wall_s > 0
    assert re.fullmatch(
        r"\d predictions, \d+ frames decoded: [\d.]+ predictions per second, [\d.]+ per second of CPU time",
        str(decisions),
    )


def test_a_video_that_is_too_short_to_measure_is_told(tmp_path: Path):
    video, cfg = str(write_video(tmp_path / "video.mp4", 30)), small_classifier("uniformer_light").cfg
    with pytest.raises(UserError, match=r"video\.mp4: no window was full: one takes 249 frames"):
        measure_decisions(cfg, video, window_s=10, stride_s=1)
    with pytest.raises(UserError, match=r"video\.mp4: has one window of 1\.2 s; make it shorter"):
        measure_decisions(cfg, video, window_s=1.2, stride_s=1)


@pytest.mark.slow
def test_memory_does_not_grow_over_thousands_of_frames():
    readings = measure_memory(scene_classifier(8).cfg, num_frames=4000)
    assert [frames for frames, _ in readings] == pytest.approx([400 * k for k in range(1, 11)], abs=40)
    # Frames alone would take 47 MiB, and their tokens 30 MiB.
    assert readings[-1][1] - readings[0][1] < 8 * 2**20


@pytest.mark.slow
def test_a_model_that_joins_frames_early_is_refused(capsys: pytest.CaptureFixture):
    keys = ["UNIFORMERV2.NO_LMHRA", "False", "UNIFORMERV2.PRETRAIN", "none"]
    with pytest.raises(SystemExit) as stop:
        main(["benchmark", "stream", *keys])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: Uniformerv2 of this config joins frames from its first layers on\n"
