"""metrics.jsonl, and what becomes of the other places when they fail."""

import json
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from slowfast.errors import UserError
from slowfast.runtime import distributed
from slowfast.runtime.interruption import Interrupted
from slowfast.runtime.metrics.background import Background
from slowfast.runtime.metrics.log import LOGGERS, MetricsLog
from slowfast.runtime.metrics.writer import MetricsSource
from tests.command_line import run_net, tiny_arguments


def metrics_log(folder: Path, *loggers: str, num_epochs: int = 0, num_steps: int = 0) -> MetricsLog:
    return MetricsLog(loggers).open(MetricsSource(folder, num_epochs, num_steps))


def test_metrics_are_one_json_object_a_line(tmp_path: Path):
    metrics = metrics_log(tmp_path)
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
    metrics_log(tmp_path, num_epochs=1, num_steps=4).write("val", 5, top1=1.0)  # a resumed run
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["kind"], line["step"]) for line in lines] == [("train", 3), ("val", 4), ("val", 5)]
    assert lines[1]["top1"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_other_ranks_write_and_import_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(distributed, "rank", lambda: 2)
    monkeypatch.setitem(LOGGERS, "tensorboard", lambda: pytest.fail("made on rank 2"))
    metrics = metrics_log(tmp_path, "tensorboard")
    metrics.write("train", 1, loss=2.0)
    metrics.close()
    assert list(tmp_path.iterdir()) == []


def written(folder: Path, name: str = "metrics.jsonl") -> list[tuple[str, int]]:
    return [(line["kind"], line["step"]) for line in map(json.loads, (folder / name).read_text().splitlines())]


def write_run(folder: Path) -> None:
    metrics = metrics_log(folder)
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
    metrics_log(tmp_path, num_epochs=num_epochs, num_steps=num_steps).close()
    assert written(tmp_path) == before[:num_lines]


def test_a_new_run_puts_the_lines_of_another_aside(tmp_path: Path):
    write_run(tmp_path)
    whole = (tmp_path / "metrics.jsonl").read_bytes()
    write_run(tmp_path)
    metrics_log(tmp_path).close()
    assert (tmp_path / "metrics.1.jsonl").read_bytes() == (tmp_path / "metrics.2.jsonl").read_bytes() == whole
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""
    metrics_log(tmp_path).close()  # an empty file is none
    assert not (tmp_path / "metrics.3.jsonl").exists()


@pytest.mark.slow
def test_tensorboard_gets_the_same_numbers(tmp_path: Path):
    metrics = metrics_log(tmp_path, "tensorboard")
    metrics.write("train", 3, loss=0.5, note="text is left out")
    metrics.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert events.Tags()["scalars"] == ["train/loss"]
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(3, 0.5)]


@pytest.mark.slow
def test_both_keys_of_tensorboard_make_one_file(video_set: Path, tmp_path: Path):
    overrides = ["SOLVER.MAX_EPOCH", 1, "TEST.ENABLE", False, "TRAIN.LOGGERS", ["tensorboard"]]
    outcome = run_net(*tiny_arguments(video_set, tmp_path, *overrides, "TENSORBOARD.ENABLE", True))
    assert (outcome.code, outcome.err) == (0, "")
    (file,) = (tmp_path / "tensorboard").iterdir()
    events = EventAccumulator(str(file)).Reload()
    losses = [json.loads(line).get("loss") for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [event.value for event in events.Scalars("train/loss")] == pytest.approx(losses[:2])
    # Of a validation the classes one by one, too.
    of_classes = [events.Scalars(f"val_accuracy_of/class {label}")[-1].value for label in range(2)]
    assert sum(of_classes) / 2 == pytest.approx(events.Scalars("val/mean_class_accuracy")[-1].value)
    assert (events.Images("val/confusion")[-1].height, events.Images("val/confusion")[-1].step) == (800, 2)


# Writers that fail


class Recorder:
    """A writer that keeps what it is called with, and fails or hangs where it is told to."""

    what = "the recorder's lines"

    def __init__(self, *, fails_at: str = "", waits_for: threading.Event | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._fails_at, self._waits_for = fails_at, waits_for

    def open(self, source: MetricsSource) -> None:
        self._take("open", source.name)

    def write(self, kind: str, step: int, **values: Any) -> None:
        self._take("write", kind, step, values)

    def close(self, *, has_failed: bool = False) -> None:
        self._take("close", has_failed)

    def _take(self, name: str, *arguments: Any) -> None:
        if self._waits_for is not None:
            self._waits_for.wait()
        self.calls.append((name, *arguments))
        if name == self._fails_at:
            raise RuntimeError(f"no network\nin {name}")


def run_with(
    recorder: Recorder, folder: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception] | None = None
) -> None:
    """A training of three lines, which may end with an error."""
    monkeypatch.setitem(LOGGERS, "recorder", lambda: recorder)
    with metrics_log(folder, "recorder") as metrics:
        for step in (1, 2, 3):
            metrics.write("train", step, loss=1.0 / step)
            time.sleep(0.01)
        if error is not None:
            raise error("stopped")


@pytest.mark.parametrize(("error", "has_failed"), [(None, False), (UserError, True), (Interrupted, False)])
def test_a_writer_gets_all_lines_and_how_the_training_ended(
    error: type[Exception] | None, has_failed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recorder = Recorder()
    if error is None:
        run_with(recorder, tmp_path, monkeypatch)
    else:
        with pytest.raises(error):
            run_with(recorder, tmp_path, monkeypatch, error)
    lines = [("write", "train", step, {"loss": 1.0 / step}) for step in (1, 2, 3)]
    assert recorder.calls == [("open", tmp_path.name), *lines, ("close", has_failed)]


@pytest.mark.parametrize("fails_at", ["open", "write", "close"])
def test_a_writer_that_fails_is_told_once_and_ends_no_training(
    fails_at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    recorder = Recorder(fails_at=fails_at)
    monkeypatch.setattr(logging.getLogger("slowfast"), "propagate", True)
    run_with(recorder, tmp_path, monkeypatch)
    assert [record.getMessage() for record in caplog.records] == [
        "the recorder's lines are not written from here on: no network; metrics.jsonl has all of it"
    ]
    assert [call[0] for call in recorder.calls].count(fails_at) == 1
    assert written(tmp_path) == [("train", 1), ("train", 2), ("train", 3)]


def test_a_writer_that_hangs_holds_up_neither_the_lines_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(logging.getLogger("slowfast"), "propagate", True)
    answer = threading.Event()
    recorder = Recorder(waits_for=answer)
    hanging = Background(recorder, timeout_s=0.2)
    start = time.monotonic()
    hanging.open(MetricsSource(tmp_path))
    hanging.write("train", 1, loss=1.0)
    assert time.monotonic() - start < 0.2
    hanging.close()
    assert 0.2 <= time.monotonic() - start < 5 and recorder.calls == []
    assert [record.getMessage() for record in caplog.records] == [
        "the recorder's lines are not written from here on: no answer for 0.2 s; metrics.jsonl has all of it"
    ]
    answer.set()
