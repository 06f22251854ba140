"""Console, file and JSON-lines log."""

import json
import logging
import re
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from slowfast.runtime import distributed, log

LINE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO epoch 1"


def test_the_log_goes_to_the_console_and_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    log.setup_logging(tmp_path)
    logging.getLogger("slowfast.engine.train").info("epoch %d", 1)
    captured = capsys.readouterr()
    assert re.fullmatch(LINE + "\n", captured.out) and captured.err == ""
    assert re.fullmatch(LINE + "\n", (tmp_path / "log.txt").read_text())


def test_setting_up_again_does_not_double_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    log.setup_logging(None)
    log.setup_logging(tmp_path)
    log.setup_logging(tmp_path)
    logging.getLogger("slowfast").info("epoch 1")
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 1


def test_other_ranks_show_warnings_with_their_rank_and_write_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(distributed, "rank", lambda: 2)
    log.setup_logging(tmp_path)
    logging.getLogger("slowfast").info("not shown")
    logging.getLogger("slowfast").warning("shown")
    assert re.fullmatch(r"\[rank 2\] .* WARNING shown\n", capsys.readouterr().out)
    metrics = log.MetricsLog(tmp_path)
    metrics.write("train", 1, loss=2.0)
    metrics.close()
    assert list(tmp_path.iterdir()) == []


def test_metrics_are_one_json_object_a_line(tmp_path: Path):
    metrics = log.MetricsLog(tmp_path)
    metrics.write("train", 3, epoch=1, loss=0.5, data_time_s=0.25)
    # Whole lines are there before the file is closed, for whoever follows the run.
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {
        "kind": "train",
        "step": 3,
        "epoch": 1,
        "loss": 0.5,
        "data_time_s": 0.25,
    }
    metrics.write("val", 4, epoch=1, top1=float("nan"))
    metrics.close()
    log.MetricsLog(tmp_path, num_epochs=1, num_steps=4).write("val", 5, top1=1.0)  # a resumed run
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["kind"], line["step"]) for line in lines] == [("train", 3), ("val", 4), ("val", 5)]
    assert lines[1]["top1"] is None
    assert not (tmp_path / "tensorboard").exists()


def written(folder: Path, name: str = "metrics.jsonl") -> list[tuple[str, int]]:
    return [(line["kind"], line["step"]) for line in map(json.loads, (folder / name).read_text().splitlines())]


def write_run(folder: Path) -> None:
    metrics = log.MetricsLog(folder)
    for kind, step in (("train", 1), ("train", 2), ("val", 2), ("train", 3), ("train", 4), ("val", 4)):
        metrics.write(kind, step, epoch=(step + 1) // 2)  # epochs of two steps
    metrics.close()


@pytest.mark.parametrize(
    ("num_epochs", "num_steps", "num_lines"),
    [(2, 4, 6), (1, 4, 5), (1, 3, 4), (1, 2, 3), (0, 2, 2), (0, 1, 1), (1, 8, 5)],
)
def test_a_run_that_goes_on_drops_the_lines_of_steps_it_takes_again(
    tmp_path: Path, num_epochs: int, num_steps: int, num_lines: int
):
    write_run(tmp_path)
    before = written(tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')  # killed while writing
    log.MetricsLog(tmp_path, num_epochs=num_epochs, num_steps=num_steps).close()
    assert written(tmp_path) == before[:num_lines]


def test_a_new_run_puts_the_lines_of_another_aside(tmp_path: Path):
    write_run(tmp_path)
    whole = (tmp_path / "metrics.jsonl").read_bytes()
    write_run(tmp_path)
    log.MetricsLog(tmp_path).close()
    assert (tmp_path / "metrics.1.jsonl").read_bytes() == (tmp_path / "metrics.2.jsonl").read_bytes() == whole
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""
    log.MetricsLog(tmp_path).close()  # an empty file is none
    assert not (tmp_path / "metrics.3.jsonl").exists()


@pytest.mark.slow
def test_tensorboard_gets_the_same_numbers(tmp_path: Path):
    metrics = log.MetricsLog(tmp_path, has_tensorboard=True)
    metrics.write("train", 3, loss=0.5, note="text is left out")
    metrics.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert events.Tags()["scalars"] == ["train/loss"]
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(3, 0.5)]


def test_progress_passes_items_on_and_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]):
    assert list(log.progress(iter("abc"), "reading", 3)) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_progress_shows_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(log.progress(iter("abc"), "reading", 3)) == ["a", "b", "c"]
    captured = capsys.readouterr()
    assert "reading" in captured.err and captured.out == ""
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    list(log.progress(iter("abc"), "reading", 3))
    assert capsys.readouterr().err == ""
