"""Two runs are identical, or the first value that differs is named; with real runs and with folders made by hand."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from slowfast.engine.run_comparison import compare_runs
from slowfast.errors import UserError
from tests.command_line import Outcome, run_net, tiny_arguments

LAST = "checkpoint_last.pyth"


@pytest.fixture
def run(finished_run: tuple[Path, Outcome]) -> Path:
    """A run that must not change."""
    return finished_run[0]


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A copy of it that may."""
    return shutil.copytree(run, tmp_path / "copy")


def change_checkpoint(output_dir: Path, name: str, part: str, change: dict[str, Any]) -> None:
    path = output_dir / "checkpoints" / name
    content = torch.load(path, weights_only=True)
    content[part] = content[part] | change
    torch.save(content, path)


@pytest.mark.slow
def test_the_same_training_twice_is_identical(run: Path, video_set: Path, tmp_path: Path):
    """Paths, times and memory differ, and do not count."""
    assert run_net(*tiny_arguments(video_set, tmp_path, "TEST.ENABLE", "False")).code == 0
    assert (run / "metrics.jsonl").read_bytes() != (tmp_path / "metrics.jsonl").read_bytes()
    comparison = compare_runs(run, tmp_path)
    assert comparison.differences == []
    assert comparison.report() == "identical: 12 lines of metrics and 6 checkpoints"


def test_another_seed_differs_from_the_first_step_on(run: Path, video_set: Path, tmp_path: Path):
    overrides = ["RNG_SEED", 2, "SOLVER.MAX_EPOCH", 1, "TEST.ENABLE", "False"]
    assert run_net(*tiny_arguments(video_set, tmp_path, *overrides)).code == 0
    metrics, *others = compare_runs(run, tmp_path).differences
    losses = [json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])["loss"] for folder in (run, tmp_path)]
    assert metrics.startswith(
        f"metrics: step 1 (train): loss is {losses[0]!r} in the first run and {losses[1]!r} in the second, differs by "
        f"{abs(losses[0] - losses[1]):.3g} (relative "
    )
    assert others[0] == "only in the first run: step 3 (train), and 8 more, to step 8 (val)"
    assert others[1].startswith("checkpoint_epoch_00000.pyth: model_state.backbone.class_embedding differs by up to ")
    assert (
        others[-1] == "only in the first run: checkpoint_epoch_00001.pyth, and 2 more, to checkpoint_epoch_00003.pyth"
    )


def test_one_changed_weight_is_found(run: Path, copied: Path):
    path, name = copied / "checkpoints" / LAST, "backbone.conv1.weight"
    weight = torch.load(path, weights_only=True)["model_state"][name].clone()
    old = weight.flatten()[7].item()
    weight.flatten()[7] += 0.25
    change_checkpoint(copied, LAST, "model_state", {name: weight})
    (told,) = compare_runs(run, copied).differences
    distance = abs(weight.flatten()[7].item() - old)
    assert told.startswith(
        f"{LAST}: model_state.{name} differs by up to {distance:.3g} "
        f"(relative {distance / weight.abs().max().item():.3g}); 1 of "
    )


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        ("scaler_state", {"scale": 2.0}, "scaler_state.scale is only in the second run"),
        ("model_state", {"new": torch.ones(2)}, "model_state.new is only in the second run"),
        ("optimizer_state", {"state": {}}, "optimizer_state.state.0.step is only in the first run"),
    ],
)
def test_every_part_of_a_checkpoint_counts(part: str, change: dict, told: str, run: Path, copied: Path):
    change_checkpoint(copied, "checkpoint_epoch_00001.pyth", part, change)
    differences = compare_runs(run, copied).differences
    assert differences[0].startswith(f"checkpoint_epoch_00001.pyth: {told}"), differences


def test_a_file_of_two_names_is_compared_once(tmp_path: Path):
    runs = []
    for i in range(2):
        folder = made_run(tmp_path / str(i), SAME, {"value": i}) / "checkpoints"
        (folder / "checkpoint_epoch_00000.pyth").hardlink_to(folder / LAST)
        runs.append(folder.parent)
    (told,) = compare_runs(*runs).differences
    assert told.startswith("checkpoint_epoch_00000.pyth: value is 0 in the first run and 1 in the second")


def test_what_only_one_has_is_named(run: Path, copied: Path):
    (copied / "checkpoints" / "checkpoint_epoch_00002.pyth").unlink()
    lines = (copied / "metrics.jsonl").read_text().splitlines(keepends=True)
    (copied / "metrics.jsonl").write_text("".join(lines[:-1]))
    told = ["step 8 (val)", "checkpoint_epoch_00002.pyth"]
    assert compare_runs(run, copied).differences == [f"only in the first run: {name}" for name in told]
    assert compare_runs(copied, run).differences == [f"only in the second run: {name}" for name in told]


# By hand


def made_run(folder: Path, line: dict[str, Any], content: dict[str, Any]) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "metrics.jsonl").write_text(json.dumps({"kind": "train", "step": 1, **line}) + "\n")
    torch.save(content, folder / "checkpoints" / LAST)
    return folder


SAME = {"loss": 1.5, "step_time_s": 1.0, "clips_per_s": 2.0, "memory_gib": 0.5}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"config": "OUTPUT_DIR: a", "versions": {"torch": "1"}}, {"config": "OUTPUT_DIR: b", "versions": {}}),
        ({"w": torch.tensor(math.nan)}, {"w": torch.tensor(math.nan)}),
        ({"w": torch.tensor([])}, {"w": torch.tensor([])}),
        ({"best": math.nan}, {"best": math.nan}),
        (
            {"rank_states": [{"meter": {"elapsed_s": 1.0, "sums": torch.ones(5), "num_steps": 2}}]},
            {"rank_states": [{"meter": {"elapsed_s": 2.0, "sums": torch.zeros(5), "num_steps": 2}}]},
        ),
    ],
)
def test_what_does_not_count(one: dict, other: dict, tmp_path: Path):
    other_line = {"loss": 1.5, "step_time_s": 7.0, "clips_per_s": 7.0, "memory_gib": 7.0}
    runs = made_run(tmp_path / "a", SAME, one), made_run(tmp_path / "b", other_line, other)
    assert compare_runs(*runs).differences == []


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (torch.zeros(1), -torch.zeros(1), "differs by up to 0 (relative 0)"),
        (torch.ones(2), torch.ones(2, 1), "is float32 (2,) in the first run and float32 (2, 1) in the second"),
        (torch.ones(2), torch.ones(2).half(), "is float32 (2,) in the first run and float16 (2,) in the second"),
        (torch.tensor([4, 2]), torch.tensor([4, 3]), "differs by up to 1 (relative 0.25)"),
        (torch.ones(1), torch.tensor([math.nan]), "differs by up to nan (relative nan)"),
        (3, 4, "is 3 in the first run and 4 in the second, differs by 1 (relative 0.25)"),
        (None, ["cat"], "is None in the first run and ['cat'] in the second"),
        (1, True, "is 1 in the first run and True in the second"),
    ],
)
def test_how_values_differ(one: Any, other: Any, told: str, tmp_path: Path):
    runs = [made_run(tmp_path / name, SAME, {"value": value}) for name, value in (("a", one), ("b", other))]
    assert compare_runs(*runs).differences == [f"{LAST}: value {told}; 1 of 1 values differ"]


def test_a_random_generator_that_stands_elsewhere_differs(tmp_path: Path):
    states = [[{"random": {"python": (3, (1, 2, last), None)}}] for last in (3, 4)]
    runs = [made_run(tmp_path / str(i), SAME, {"rank_states": state}) for i, state in enumerate(states)]
    told = "rank_states[0].random.python[1] is (1, 2, 3) in the first run and (1, 2, 4) in the second"
    assert compare_runs(*runs).differences == [f"{LAST}: {told}; 1 of 3 values differ"]


def test_a_metric_that_only_one_logs_differs(tmp_path: Path):
    runs = made_run(tmp_path / "a", SAME, {}), made_run(tmp_path / "b", {**SAME, "num_replaced": 0}, {})
    told = "metrics: step 1 (train): num_replaced is None in the first run and 0 in the second; 1 of 1 lines differ"
    assert compare_runs(*runs).differences == [told]


def test_mistakes_are_named(tmp_path: Path):
    run = made_run(tmp_path / "run", SAME, {})
    damaged = made_run(tmp_path / "damaged", SAME, {})
    (damaged / "checkpoints" / LAST).write_bytes(b"PK")
    (tmp_path / "empty").mkdir()
    for folder, told in (
        (tmp_path / "none", f"{tmp_path}/none: there is no such folder; give the OUTPUT_DIR of a training"),
        (run / "metrics.jsonl", f"{run}/metrics.jsonl: there is no such folder; give the OUTPUT_DIR of a training"),
        (run / ".." / "run", f"{run}/../run: this run is given twice; give the OUTPUT_DIR of two"),
        (tmp_path / "empty", f"{tmp_path}/empty: this folder has no metrics.jsonl; give the OUTPUT_DIR of a training"),
        (damaged, f"{damaged}/checkpoints/{LAST}: cannot be read as a checkpoint: "),
    ):
        with pytest.raises(UserError) as caught:
            compare_runs(run, folder)
        assert str(caught.value).startswith(told) and "\n" not in str(caught.value)
