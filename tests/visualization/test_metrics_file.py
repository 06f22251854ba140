"""Logs of training: what is read from them, what they are called, and what is refused."""

import math
from pathlib import Path

import numpy as np
import pytest

from slowfast.errors import UserError
from slowfast.runtime.metrics.log import MetricsLog
from slowfast.runtime.metrics.writer import MetricsSource
from slowfast.visualization.metrics_file import RunMetrics, distinct_names, load_lines, load_runs

LINE = '{"kind": "train", "step": 1, "loss": 2.0}\n'


def written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text(text)
    return folder


def test_what_training_writes_is_read_back(tmp_path: Path):
    log = MetricsLog().open(MetricsSource(tmp_path))
    log.write("train", 2, loss=1.5, lr=1e-3)
    log.write("train", 4, loss=math.nan, lr=5e-4)
    log.write("val", 4, epoch=2, top1=50.0)
    log.close()
    for path in (tmp_path, tmp_path / "metrics.jsonl"):
        (run,) = load_runs([path])
        assert run.name == tmp_path.name
        steps, losses = run.series("train", "loss")
        assert steps.tolist() == [2, 4] and losses[0] == 1.5 and np.isnan(losses[1])
        assert run.series("train", "lr")[1].tolist() == [1e-3, 5e-4]
        assert run.series("val", "top1")[0].tolist() == [4]
        assert [len(values) for values in run.series("val_ema", "top1")] == [0, 0]
        assert run.steps_per_epoch == 2


def test_infinity_is_no_value_to_draw(tmp_path: Path):
    folder = written(tmp_path / "a", LINE + LINE.replace("2.0", "Infinity") + LINE.replace("2.0", "NaN"))
    (run,) = load_runs([folder])
    assert np.isnan(run.series("train", "loss")[1]).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("validations", "expected"),
    [([(20, 1), (40, 2)], 20), ([], None), ([(20, 1), (30, 2)], None), ([(15, 2)], None)],
)
def test_steps_of_an_epoch_are_those_that_validations_agree_on(validations, expected):
    lines = [{"kind": "val", "step": step, "epoch": epoch} for step, epoch in validations]
    assert RunMetrics("a", [{"kind": "train", "step": 7, "epoch": 1}, *lines]).steps_per_epoch == expected


@pytest.mark.parametrize("half", ['{"kind": "tra', '{"kind": "train", "step": 2, "loss": 1.', "{"])
def test_half_a_last_line_is_left_out(tmp_path: Path, half: str):
    assert len(load_lines(written(tmp_path / "a", LINE + half) / "metrics.jsonl")) == 1


def test_a_whole_last_line_counts_without_its_end(tmp_path: Path):
    assert len(load_lines(written(tmp_path / "a", LINE + LINE.rstrip()) / "metrics.jsonl")) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ":1: there is no whole line yet; a training writes one every LOG_PERIOD steps"),
        ('{"kind": "tr', ":1: there is no whole line yet"),
        (LINE + "epoch 1: loss 3\n", ":2: 'epoch 1: loss 3' is no line of metrics.jsonl, such as {\"kind\""),
        (LINE + "epoch 1", ":2: 'epoch 1' is no line"),
        (LINE + '{"kind": "tr\n' + LINE, ':2: \'{"kind": "tr\' is no line'),
        ('{"step": 1}\n', ":1: '{\"step\": 1}' is no line"),
        ('{"kind": "train", "step": null}\n', ":1: "),
        ('[{"kind": "train", "step": 1}]\n', ":1: "),
        (LINE.replace("2.0", "9" * 400), f":1: loss is {'9' * 77}...; accepted: numbers and null"),
        (f'{{"kind": "train", "step": {"9" * 400}}}\n', ":1: "),
        (LINE.replace("2.0", '"low"'), ":1: loss is 'low'; accepted: numbers and null"),
    ],
)
def test_what_is_no_log_is_refused_with_its_line(tmp_path: Path, text: str, told: str):
    file = written(tmp_path, text) / "metrics.jsonl"
    with pytest.raises(UserError) as error_info:
        load_lines(file)
    assert str(error_info.value).startswith(f"{file}{told}")
    assert "\n" not in str(error_info.value)


def test_a_binary_file_is_no_log(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff")
    with pytest.raises(UserError, match=r"a\.png:1: .* is no line of metrics\.jsonl"):
        load_runs([tmp_path / "a.png"])


def test_missing_logs_are_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"none: there is no such file or folder; give the OUTPUT_DIR"):
        load_runs([tmp_path / "none"])
    with pytest.raises(UserError, match=r"this folder has no metrics\.jsonl; give the OUTPUT_DIR of a training"):
        load_runs([tmp_path])


def test_a_log_is_drawn_once(tmp_path: Path):
    folder = written(tmp_path / "a", LINE)
    with pytest.raises(UserError, match="this log is given twice"):
        load_runs([folder, folder / "metrics.jsonl"])


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["/runs/a/metrics.jsonl"], ["a"]),
        (["/runs/a/metrics.jsonl", "/runs/b/metrics.jsonl"], ["a", "b"]),
        (["/x/a/metrics.jsonl", "/y/a/metrics.jsonl"], ["x/a", "y/a"]),
        (["/runs/a/metrics.jsonl", "/runs/a/metrics.1.jsonl"], ["a", "metrics.1.jsonl"]),
        (["/a/metrics.jsonl", "/b/a/metrics.jsonl"], ["/a", "b/a"]),
    ],
)
def test_names_are_what_tells_runs_apart(files, names):
    assert distinct_names([*map(Path, files)]) == names
