"""Weights & Biases, for real in its offline mode."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from slowfast.errors import UserError
from slowfast.runtime.metrics.log import MetricsLog
from slowfast.runtime.metrics.writer import MetricsSource
from tests.command_line import run_net, tiny_arguments


def test_a_missing_package_is_one_line_before_anything_begins(
    video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "wandb", None)
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", "TRAIN.LOGGERS", ["wandb"]))
    assert outcome.error.startswith("TRAIN.LOGGERS wandb needs the package wandb, which cannot be imported (")
    assert outcome.error.endswith("; pip install 'uniformer-video[wandb]'")
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """W&B as on a machine without a network, where nobody is logged in."""
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "settings"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    wandb.teardown()  # what it has read of the variables before
    yield
    wandb.teardown()


def offline_runs(folder: Path) -> list[Path]:
    """The files of W&B's offline runs, the oldest first."""
    return sorted((folder / "wandb").glob("offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime_ns)


@pytest.mark.usefixtures("offline")
def test_lines_go_to_a_run_and_those_of_a_resumed_training_to_the_same(tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    for num_steps in (0, 1):
        with MetricsLog(["wandb"]).open(MetricsSource(folder, 0, num_steps, {"SOLVER.BASE_LR": 0.125})) as metrics:
            metrics.write("train", num_steps + 1, epoch=1, loss=0.5 + num_steps, note="text is left out")
            metrics.write_classes("val", num_steps + 1, {"a $ class": 12.5}, np.zeros((8, 8, 3), np.uint8))
    run_id = json.loads((folder / "logger_runs.json").read_text())["wandb"]
    files = offline_runs(folder)
    assert [path.name for path in files] == [f"run-{run_id}.wandb"] * 2
    for num_steps, path in enumerate(files):
        content = path.read_bytes()
        assert b"train/loss" in content and str(0.5 + num_steps).encode() in content
        assert b"val_accuracy_of/a $ class" in content and b"12.5" in content and b"val/confusion" in content
        assert len(list(path.parent.glob("files/media/images/val/confusion_*.png"))) == 1
        assert b"SOLVER.BASE_LR" in content and b"0.125" in content and b"left out" not in content
    with MetricsLog(["wandb"]).open(MetricsSource(folder)) as metrics:  # a new training there
        metrics.write("train", 1, epoch=1, loss=0.5)
    assert json.loads((folder / "logger_runs.json").read_text())["wandb"] != run_id


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
def test_a_training_logs_there_and_says_where(video_set: Path, tmp_path: Path):
    overrides = ["SOLVER.MAX_EPOCH", 1, "TEST.ENABLE", False, "TRAIN.LOGGERS", ["wandb"]]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides))
    assert (outcome.code, outcome.err) == (0, "")
    run_id = json.loads((tmp_path / "run" / "logger_runs.json").read_text())["wandb"]
    assert outcome.out.count(f"INFO W&B: run {run_id}, offline in {tmp_path / 'run' / 'wandb'}") == 1
    (file,) = offline_runs(tmp_path / "run")
    assert {name for name in (b"train/loss", b"val/top1") if name in file.read_bytes()} == {b"train/loss", b"val/top1"}


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
def test_a_training_goes_on_without_a_network(video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in {"MODE": "online", "API_KEY": "0" * 40, "BASE_URL": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
    overrides = ["SOLVER.MAX_EPOCH", 1, "TEST.ENABLE", False, "TRAIN.LOGGERS", ["wandb"]]
    outcome = run_net(*tiny_arguments(video_set, tmp_path / "run", *overrides))
    assert outcome.code == 0 and outcome.out.count("WARNING W&B's metrics are not written from here on: ") == 1
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 3


@pytest.mark.usefixtures("offline")
def test_nobody_is_asked_for_a_key_in_the_middle_of_a_training(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    with pytest.raises(
        UserError, match=r"^TRAIN.LOGGERS wandb: there is no API key; run wandb login, set WANDB_API_KE"
    ):
        MetricsLog(["wandb"])
