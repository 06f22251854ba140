"""One process and two that share its batch compute the same, with everything off that depends on the share.

Dropout is off and BatchNorm in eval mode. All trainings run in two groups of processes, one of them of one process.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from slowfast.config import load_config
from slowfast.models import build_model
from tests.command_line import CONFIG, run_commands
from tests.golden_rule import golden_state_dict
from tests.run_state import checkpoint, metrics

NUM_STEPS = 10  # five epochs of two
SGD = ["SOLVER.OPTIMIZING_METHOD", "sgd", "SOLVER.BASE_LR", 0.05, "SOLVER.WARMUP_START_LR", 0.01]
SETTING = [*SGD, "SOLVER.MAX_EPOCH", 5, "TRAIN.EVAL_PERIOD", 5, "SOLVER.CLIP_GRADIENT", 0.0]
SAME_CLASSES = ["MODEL.CHECKPOINT_CLASS_ORDER", "same"]
MODELS = {
    "v2": ["UNIFORMERV2.MLP_DROPOUT", [0.0], "UNIFORMERV2.CLS_DROPOUT", 0.0],
    "v1": [
        *("MODEL.MODEL_NAME", "Uniformer", "UNIFORMER.DEPTH", [1, 1, 1, 1], "UNIFORMER.EMBED_DIM", [8, 8, 16, 16]),
        *("UNIFORMER.HEAD_DIM", 8, "UNIFORMER.DROP_DEPTH_RATE", 0.0, "DATA.NUM_FRAMES", 4),
        *("DATA.TRAIN_CROP_SIZE", 32, "DATA.TEST_CROP_SIZE", 32, "DATA.TRAIN_JITTER_SCALES", [32, 36]),
    ],
}
RECOMPUTED = ["MODEL.USE_CHECKPOINT", "True", "MODEL.CHECKPOINT_NUM", [1, 1, 1, 1]]
ACCUMULATED = ["TRAIN.BATCH_SIZE", 2, "SOLVER.ACCUM_STEPS", 2]
CLIPPED = ["SOLVER.CLIP_GRADIENT", 0.1]
# name: (model, what differs, the training of one process that it has to equal)
TRAININGS = {
    "v2": ("v2", [], "v2"),
    "v2 clipped": ("v2", CLIPPED, "v2 clipped"),
    "v2 recomputed": ("v2", RECOMPUTED, "v2"),
    "v2 accumulated": ("v2", ACCUMULATED, "v2"),
    "v2 accumulated, clipped": ("v2", [*ACCUMULATED, *CLIPPED], "v2 clipped"),
    "v1": ("v1", [], "v1"),
    "v1 clipped": ("v1", CLIPPED, "v1 clipped"),
    "v1 recomputed": ("v1", RECOMPUTED, "v1"),
    "v1 accumulated": ("v1", ACCUMULATED, "v1"),
}
# With all that draws random numbers, in bfloat16: name: (model, what differs). Each is done with recomputation, too.
DRAWN = ["TRAIN.MIXED_PRECISION_DTYPE", "bf16"]
DRAWING = {
    "v2 drawn": (
        "v2",
        [
            *(*DRAWN, "UNIFORMERV2.MLP_DROPOUT", [0.5], "UNIFORMERV2.CLS_DROPOUT", 0.5),
            *("UNIFORMERV2.BACKBONE_DROP_PATH_RATE", 0.5, "UNIFORMERV2.DROP_PATH_RATE", 0.5),
        ],
    ),
    "v1 drawn": ("v1", [*DRAWN, "UNIFORMER.DROP_DEPTH_RATE", 0.5, "UNIFORMER.DROPOUT_RATE", 0.5]),
}
LIST_LENGTHS = [1, 2, 5, 6]

pytestmark = pytest.mark.slow


def write_start(name: str, path: Path) -> dict[str, Tensor]:
    """Write weights in which nothing is zero: published starts silence temporal parts, which would hide mistakes."""
    model = build_model(load_config(CONFIG, MODELS[name]))
    weights = golden_state_dict((key, value.shape) for key, value in model.state_dict().items())
    torch.save({"model_state": weights}, path)
    return weights


@pytest.fixture(scope="module")
def folder(video_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process and two left: FOLDER/1/NAME and FOLDER/2/NAME, and FOLDER/MODEL.pyth that all started from."""
    folder = tmp_path_factory.mktemp("equality")
    data = ["DATA.PATH_TO_DATA_DIR", str(video_set), "DATA.PATH_PREFIX", str(video_set), *SAME_CLASSES]
    tasks: dict[str, tuple[str, list[Any]]] = {}
    for model in MODELS:
        write_start(model, folder / f"{model}.pyth")
    trainings = {name: (model, overrides) for name, (model, overrides, _) in TRAININGS.items()} | DRAWING
    trainings |= {f"{name}, recomputed": (model, [*words, *RECOMPUTED]) for name, (model, words) in DRAWING.items()}
    for name, (model, overrides) in trainings.items():
        start = ["TRAIN.CHECKPOINT_FILE_PATH", str(folder / f"{model}.pyth")]
        tasks[name] = ("train", [*data, *start, *SETTING, *MODELS[model], *overrides])
    for length in LIST_LENGTHS:
        lists = folder / f"lists of {length}"
        lists.mkdir()
        lines = (video_set / "test.csv").read_text().splitlines(keepends=True)
        (lists / "test.csv").write_text("".join(lines[:length]))
        weights = ["TEST.CHECKPOINT_FILE_PATH", str(folder / "v2.pyth"), "TRAIN.ENABLE", "False"]
        tasks[f"test {length}"] = ("test", [*data, *MODELS["v2"], *weights, "DATA.PATH_TO_DATA_DIR", str(lists)])
    commands = []
    for num_processes in (1, 2):
        own = folder / str(num_processes)
        own.mkdir()
        (own / "tasks.json").write_text(json.dumps(tasks))
        program = [sys.executable, "-m", "tests.engine.training_program", own]
        commands.append(["env", f"LOCAL_WORLD_SIZE={num_processes}", *program])
    for outcome in run_commands(*commands, environment={"OMP_NUM_THREADS": "1"}):
        assert (outcome.code, outcome.err) == (0, ""), outcome.err
    return folder


@pytest.mark.parametrize("num_processes", [1, 2])
@pytest.mark.parametrize("name", TRAININGS)
def test_losses_and_weights_are_those_of_one_process(name: str, num_processes: int, folder: Path):
    reference = TRAININGS[name][2]
    actual, expected = folder / str(num_processes) / name, folder / "1" / reference
    losses, norms = (
        [[line[key] for line in metrics(path, "train")] for path in (actual, expected)] for key in ("loss", "grad_norm")
    )
    assert len(losses[0]) == len(losses[1]) == NUM_STEPS
    assert losses[0] == pytest.approx(losses[1], rel=1e-5, abs=1e-5)
    assert norms[0] == pytest.approx(norms[1], rel=1e-4, abs=1e-5)
    weights, others = (checkpoint(path, 4)["model_state"] for path in (actual, expected))
    assert weights.keys() == others.keys()
    for key, value in weights.items():
        torch.testing.assert_close(value, others[key], rtol=1e-5, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("num_processes", [1, 2])
@pytest.mark.parametrize("name", DRAWING)
def test_recomputed_activations_draw_the_same_numbers_and_keep_the_precision(
    name: str, num_processes: int, folder: Path
):
    plain, recomputed = folder / str(num_processes) / name, folder / str(num_processes) / f"{name}, recomputed"
    lines = [metrics(path, "train") for path in (plain, recomputed)]
    assert len(lines[0]) == len(lines[1]) == NUM_STEPS
    for key in ("loss", "grad_norm"):
        values, others = ([line[key] for line in own] for own in lines)
        assert values == pytest.approx(others, rel=1e-6, abs=1e-6)
    model = DRAWING[name][0]
    assert metrics(plain, "train")[0]["loss"] != metrics(folder / str(num_processes) / model, "train")[0]["loss"]
    weights, others = (checkpoint(path, 4)["model_state"] for path in (plain, recomputed))
    for key, value in weights.items():
        torch.testing.assert_close(value, others[key], rtol=1e-6, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("name", [name for name, (_, _, reference) in TRAININGS.items() if name == reference])
def test_the_trainings_that_are_compared_do_learn(name: str, folder: Path):
    """Differences would show: the loss moves, and all weights that have a gradient at all do, the temporal ones too."""
    losses = [line["loss"] for line in metrics(folder / "1" / name, "train")]
    assert max(losses) - min(losses) > 1e-2
    start = torch.load(folder / f"{TRAININGS[name][0]}.pyth", weights_only=True)["model_state"]
    moved = {
        key: (value - start[key]).abs().max().item()
        for key, value in checkpoint(folder / "1" / name, 4)["model_state"].items()
        if value.is_floating_point() and "running_" not in key
    }
    still = {key for key, change in moved.items() if change < 1e-4}
    assert still == set(), still


@pytest.mark.parametrize("num_processes", [1, 2])
@pytest.mark.parametrize("length", LIST_LENGTHS)
def test_every_video_is_scored_once_and_alike(length: int, num_processes: int, folder: Path):
    rows = {}
    for number in (1, num_processes):
        output = folder / str(number) / f"test {length}" / "test"
        summary = json.loads((output / "report.json").read_text())
        assert (summary["expected"], summary["scored"], summary["failed"]) == (length, length, 0)
        with (output / "predictions.csv").open(newline="") as file:
            rows[number] = list(csv.DictReader(file))
    assert [Path(row["path"]).name for row in rows[num_processes]] == [f"test_{i}.mp4" for i in range(length)]
    for row, other in zip(rows[num_processes], rows[1], strict=True):
        scores = ([float(word) for word in line["scores"].split()] for line in (row, other))
        assert next(scores) == pytest.approx(next(scores), rel=1e-5, abs=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="SyncBatchNorm computes on a GPU only")
def test_sync_batch_norm_has_the_statistics_of_the_whole_batch(tmp_path: Path):
    """BatchNorm in training mode: two processes, which may share a GPU, equal one that has all clips."""
    results = []
    for num_processes in (1, 2):
        own = tmp_path / str(num_processes)
        own.mkdir()
        program = [sys.executable, "-m", "tests.engine.sync_bn_program", own, "cuda:0"]
        (outcome,) = run_commands(program, environment={"LOCAL_WORLD_SIZE": str(num_processes)})
        assert outcome.code == 0, outcome.err
        results.append(torch.load(own / "result.pth", weights_only=True))
    one, two = results
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-4, abs=1e-5)
    for name, value in two["weights"].items():
        torch.testing.assert_close(value, one["weights"][name], rtol=1e-3, atol=1e-5, msg=f"{name} differs")
