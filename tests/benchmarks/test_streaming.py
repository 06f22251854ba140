"""What a stream saves, and that its memory stays as it is."""

import pytest

from slowfast.benchmarks.streaming import describe_savings, measure_memory, measure_saving
from slowfast.cli.main import main
from tests.inference.test_stream import scene_classifier


def test_a_new_frame_takes_less_than_a_window_and_gives_its_logits():
    saving = measure_saving(scene_classifier(16).cfg, next(scene_classifier().model.parameters()).device, num_rounds=3)
    assert saving.difference < 1e-5 and saving.num_frames == 16
    assert saving.tick.min_cpu_s < saving.whole.min_cpu_s
    header, _, row = describe_savings([saving])
    assert header.count("|") == row.count("|") and row.startswith("| 16 | ")


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
