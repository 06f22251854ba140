"""MLflow, for real with a database in a file."""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slowfast.runtime.metrics.log import MetricsLog
from slowfast.runtime.metrics.writer import MetricsSource
from tests.command_line import run_net, tiny_arguments


def test_a_missing_package_is_one_line_before_anything_begins(
    video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", "TRAIN.LOGGERS", ["mlflow"]))
    assert outcome.error.startswith("TRAIN.LOGGERS mlflow needs the package mlflow, which cannot be imported (")
    assert outcome.error.endswith("; pip install 'uniformer-video[mlflow]'")
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Of a database of its own."""
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("alembic")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "digits")
    monkeypatch.chdir(tmp_path)  # beside a database in a file, MLflow keeps files in the current folder
    monkeypatch.setattr(logging.getLogger("mlflow"), "disabled", True)
    yield mlflow.MlflowClient()


def write(folder: Path, num_steps: int) -> str:
    """A run, or the next step of one; returns its id."""
    folder.mkdir(exist_ok=True)
    config = {f"SOLVER.KEY_{i}": i for i in range(130)} | {"DATA.PATH": "x" * 700}
    with MetricsLog(["mlflow"]).open(MetricsSource(folder, 0, num_steps, config)) as metrics:
        metrics.write("train", num_steps + 1, epoch=1, loss=0.5 + num_steps, note="text is left out")
        metrics.write("val", num_steps + 1, epoch=1, top1=float("nan"))
        metrics.write_classes("val", num_steps + 1, {"a $ class": 12.5}, np.zeros((8, 8, 3), np.uint8))
    return json.loads((folder / "logger_runs.json").read_text())["mlflow"]


def points(client: Any, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in client.get_metric_history(run_id, name)]


@pytest.mark.slow  # MLflow makes a database
def test_lines_go_to_a_run_and_those_of_a_resumed_training_to_the_same(client: Any, tmp_path: Path):
    run_id = write(tmp_path / "run", 0)
    assert write(tmp_path / "run", 1) == run_id
    run = client.get_run(run_id)
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert client.get_experiment(run.info.experiment_id).name == "digits"
    assert points(client, run_id, "train/loss") == [(1, 0.5), (2, 1.5)]
    assert set(run.data.metrics) == {"train/epoch", "train/loss", "val/epoch", "val/top1"}
    assert client.download_artifacts(run_id, "val_confusion/step_00000002.png")
    told = json.loads(Path(client.download_artifacts(run_id, "val_accuracy_of/step_00000001.json")).read_text())
    assert told == {"a $ class": 12.5}
    assert len(run.data.params) == 131 and run.data.params["SOLVER.KEY_129"] == "129"
    assert write(tmp_path / "run", 0) != run_id  # a new training there
    assert len(client.search_runs([run.info.experiment_id])) == 2


@pytest.mark.slow
def test_a_run_that_is_gone_is_followed_by_a_new_one(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run_id = write(tmp_path / "run", 0)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/another.db")
    records: list[logging.LogRecord] = []  # caplog's handler does not outlast the making of a database
    monkeypatch.setattr(logging.getLogger("slowfast.runtime.metrics.mlflow"), "handle", records.append)
    assert write(tmp_path / "run", 1) != run_id
    warnings = [record.getMessage() for record in records if record.levelno == logging.WARNING]
    assert warnings == [f"MLflow has no run {run_id} any more; the rest goes to a new one"]


@pytest.mark.slow
def test_a_training_logs_there_and_goes_on_without_it(
    client: Any, video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    overrides = ["SOLVER.MAX_EPOCH", 1, "TEST.ENABLE", False, "TRAIN.LOGGERS", ["mlflow"]]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides))
    assert outcome.code == 0 and "epoch 1/1 step 2/2" in outcome.out
    run_id = json.loads((tmp_path / "run" / "logger_runs.json").read_text())["mlflow"]
    assert outcome.out.count(f"INFO MLflow: run {run_id}, sqlite:///{tmp_path}/mlflow.db") == 1
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [(line["step"], line["loss"]) for line in lines if line["kind"] == "train"]
    assert points(client, run_id, "train/loss") == losses
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "other", *overrides))
    assert outcome.code == 0 and outcome.out.count("WARNING MLflow's metrics are not written from here on: ") == 1
    assert len((tmp_path / "other" / "metrics.jsonl").read_text().splitlines()) == 3
