"""What a run of training left behind."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch


def checkpoint(output_dir: Path, epoch: int) -> dict:
    path = output_dir / "checkpoints" / f"checkpoint_epoch_{epoch:05d}.pyth"
    return torch.load(path, weights_only=True)


def metrics(output_dir: Path, kind: str) -> list[dict]:
    lines = map(json.loads, (output_dir / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == kind]


def report(output_dir: Path) -> dict:
    """What the test reports."""
    return json.loads((output_dir / "test" / "report.json").read_text())


def timeless_report(output_dir: Path) -> dict:
    """The report without how long the test took."""
    content = report(output_dir)
    del content["run"]["seconds"], content["run"]["videos_per_s"]
    return content


def report_wherever_it_lies(output_dir: Path) -> dict:
    """The same, with the name of the checkpoint in place of its path: runs that were copied have equal ones.

    How long the test took is left out, too.
    """
    content = timeless_report(output_dir)
    content["setting"]["checkpoint"] = Path(content["setting"]["checkpoint"]).name
    return content


def assert_same_figures(one: Path, other: Path, *, has_same_weights: bool = True):
    """Two tests report the same, but for the time and for what the last bits of scores and weights change."""
    ours, theirs = (report_wherever_it_lies(folder) for folder in (one, other))
    assert ours.pop("calibration") == pytest.approx(theirs.pop("calibration"), abs=1e-4)
    if not has_same_weights:
        del ours["run"]["weights_sha256"], theirs["run"]["weights_sha256"]
    assert ours == theirs


def predictions(output_dir: Path) -> list[dict[str, str]]:
    """Rows of the test's predictions."""
    with (output_dir / "test" / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def assert_same_state(one: dict, other: dict):
    """Two checkpoints have the same weights, optimizer and progress, to the last bit."""
    for name in ("epoch", "step", "best_accuracy", "num_without_best"):
        assert one[name] == other[name], name
    for part in ("model_state", "ema_state", "optimizer_state", "scaler_state", "class_names"):
        assert_same(one[part], other[part], part)


def assert_same(one: Any, other: Any, name: str):
    """Two trees of plain containers are equal, tensors in them to the last bit."""
    assert type(one) is type(other), name
    if isinstance(one, dict):
        assert one.keys() == other.keys(), name
        for key, value in one.items():
            assert_same(value, other[key], f"{name}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), name
        for i, (item, other_item) in enumerate(zip(one, other, strict=True)):
            assert_same(item, other_item, f"{name}[{i}]")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), name
    else:
        assert one == other, name
