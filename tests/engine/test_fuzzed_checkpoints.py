"""Whatever a checkpoint holds: it loads as it was, or one line says what is wrong, and soon."""

import copy
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from slowfast.datasets.labels import class_key, load_label_list
from slowfast.engine.build import build_run
from slowfast.engine.checkpoint import CheckpointFolder, load_together
from slowfast.engine.resume import read_together
from slowfast.engine.train import _start_epoch, train_epoch
from slowfast.engine.train_run import TrainRun
from slowfast.errors import UserError
from slowfast.models.weights.export import convert_checkpoint
from slowfast.models.weights.integrity import HASHES_KEY, tensor_hashes, tensors_in
from tests.command_line import tiny_config
from tests.models.weights.layouts import mmaction2_names, rules
from tests.time_bound import within

NUM_FILES, NUM_FAST, PER_BLOCK = 200, 12, 40
LIMIT_S = 20
CPU = torch.device("cpu")
NESTED: list = [1]
for _ in range(60):
    NESTED = [NESTED, NESTED]
TREE = "\n".join(["A: &a0 [1, 1]", *(f"A{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60))])
# Values that are not what stands anywhere in a checkpoint.
ODD: list[Callable[[], Any]] = [
    *(
        lambda value=value: value
        for value in (None, True, 3, -1, 10**5000, 0.5, float("nan"), "", "x\ny", "a\0b", "9" * 99)
    ),
    *(lambda value=value: value for value in (None, True, 3, -1, 10**5000, 0.5, float("nan"), "", "x\ny", "a\0b")),
    *(lambda value=value: value for value in ([], {}, [None], {"a": 1}, {1: torch.ones(2)}, {(1, 2): 3}, NESTED)),
    *(lambda text=text: text for text in ("[1, 2", "MODEL: 3", "MODEL: {MODEL_NAME: [1]}", "UNIFORMERV2: x", "- a")),
    *(lambda text=text: text for text in ("MODEL: {MODEL_NAME: Nobody}", "PLUGINS: 3", "a: !!timestamp x", TREE)),
    lambda: torch.zeros(0),
    lambda: torch.tensor(3),
    lambda: torch.full((16,), float("nan")),
    lambda: torch.ones(16, dtype=torch.int8),
    lambda: torch.ones(16, dtype=torch.complex64),
    lambda: torch.ones(16).to(torch.float8_e4m3fn),
    lambda: torch.eye(4).to_sparse(),
    lambda: torch.eye(4).to_sparse_csr(),
    lambda: torch.empty(16, device="meta"),
    lambda: torch.quantize_per_tensor(torch.ones(16), 0.1, 0, torch.qint8),
    lambda: torch.ones(1).expand(1 << 40),
    lambda: torch.ones(1, 1, 1, 1, 1, 1, 1),
]


@pytest.fixture(scope="module")
def run(video_set: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainRun:
    """A run within its first epoch, with all that a checkpoint may hold."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "names.txt").write_text("left\nright\n")
    overrides = ["MODEL.EMA_EPOCH", 0, "DATA.CLASS_NAMES_FILE", folder / "names.txt"]
    run = build_run(tiny_config(video_set, folder / "output", *overrides), CPU)
    with closing(run.metrics):
        train_epoch(run)
    return run


def containers(tree: Any) -> list[dict | list]:
    """All dictionaries and lists in a tree."""
    found, waiting, seen = [], [tree], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list) and id(value) not in seen:
            seen.add(id(value))
            found.append(value)
            waiting += value.values() if isinstance(value, dict) else value
    return found


def change_content(content: dict[str, Any], draws: random.Random) -> None:
    """Put odd values where others are expected, leave out and rename."""
    for _ in range(draws.randint(1, 3)):
        # The first levels have the keys that code reads; deeper ones are many.
        tree = draws.choice([content, content, draws.choice(containers(content))])
        if not tree:
            continue
        key = draws.choice(list(tree) if isinstance(tree, dict) else range(len(tree)))
        change = draws.randrange(4) if isinstance(tree, dict) else 0
        if change == 1:
            del tree[key]
        elif change == 2:
            tree[draws.choice([3, "", "model", "module.x", f"{key}.x", (1,)])] = tree.pop(key)
        else:
            tree[key] = draws.choice(ODD)()


def change_bytes(path: Path, draws: random.Random) -> None:
    """Flip, cut, insert or repeat bytes."""
    data = bytearray(path.read_bytes())
    at = draws.randrange(len(data)) if draws.random() < 0.7 else draws.randrange(min(len(data), 3000))
    change = draws.randrange(5)
    if change == 0:
        del data[at:]
    elif change == 1:
        data[at:at] = draws.randbytes(draws.randint(1, 100))
    elif change == 2:
        del data[at : at + draws.randint(1, 100)]
    else:
        size = draws.choice([1, 8, 64])
        data[at : at + size] = draws.randbytes(min(size, len(data) - at))
    path.write_bytes(data)


def write(content: dict[str, Any], path: Path, form: str) -> None:
    """As our own checkpoints, the old format, or .safetensors under another name."""
    if form == "safetensors":
        weights = {name: value.clone() for name, value in content["model_state"].items()}
        save_file(weights, path, {"format": "pt", "class_names": '["left", "right"]', "config": '""'})
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form != "old")


def readers(run: TrainRun, path: Path, folder: Path) -> dict[str, Callable[[], Mapping[str, torch.Tensor]]]:
    """What is done with a checkpoint, by name; each returns the weights that came of it."""

    def test() -> Mapping[str, torch.Tensor]:
        model = copy.deepcopy(run.bare_model)
        load_together(model, str(path), rules(["left", "right"], is_test=True))
        return model.state_dict()

    def resume() -> Mapping[str, torch.Tensor]:
        found = CheckpointFolder(folder).newest()
        run.load_state_dict(read_together(found), found)
        _start_epoch(run)
        return run.bare_model.state_dict()

    def convert() -> Mapping[str, torch.Tensor]:
        target = folder / "out.safetensors"
        options = {"load_list": load_label_list, "class_key": class_key}
        convert_checkpoint(str(path), target, form="ours", **options)
        convert_checkpoint(str(target), folder / "out.pth", form="mmaction2", **options)
        return {}

    return {"test": test, "resume": resume, "convert": convert}


def fuzz(run: TrainRun, whole: dict[str, Any], indices: range, folder: Path) -> Iterator[tuple[str, str]]:
    """Change a checkpoint, and read it; yields who read it and what came of it."""
    path = folder / "checkpoints" / "checkpoint_last.pyth"
    path.parent.mkdir(exist_ok=True)
    for idx in indices:
        draws = random.Random(idx)
        content, form = copy.deepcopy(whole), draws.choice(["own", "own", "own", "old", "safetensors"])
        if draws.random() < 0.3:
            content = (
                {"state_dict": mmaction2_names(content["model_state"])}
                if draws.random() < 0.5
                else {"model_state": content["model_state"]}
            )
        is_content_changed = form != "safetensors" and draws.random() < 0.6
        if is_content_changed:
            change_content(content, draws)
        elif HASHES_KEY in content:
            content[HASHES_KEY] = tensor_hashes(content)
        write(content if "model_state" in content or form != "safetensors" else whole, path, form)
        if not is_content_changed:
            change_bytes(path, draws)
        for name, read in readers(run, path, folder).items():
            yield (
                name,
                outcome_of(
                    read, f"file {idx}, {form}, to {name}", whole if form == "own" and not is_content_changed else None
                ),
            )


def outcome_of(read: Callable[[], Mapping[str, torch.Tensor]], what: str, whole: dict[str, Any] | None) -> str:
    """ "loaded" or the line that refuses; a file of our format with damaged bytes has the weights that were saved."""
    try:
        with warnings.catch_warnings(), within(LIMIT_S, what):
            warnings.simplefilter("ignore")
            weights = read()
    except UserError as error:
        told = str(error)
        assert told.isprintable() and "weights_only" not in told and len(told) < 2000, (what, told)
        return told
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    assert all(value.isfinite().all() for _, value in tensors_in(weights)), what
    if whole is not None:
        expected = whole["model_state"]
        assert all(torch.equal(value, expected[name]) for name, value in weights.items()), what
    return "loaded"


@pytest.fixture(scope="module")
def whole(run: TrainRun) -> dict[str, Any]:
    """The content of the run's checkpoint."""
    content = copy.deepcopy(run.state_dict())
    return content | {HASHES_KEY: tensor_hashes(content)}


def test_what_is_fuzzed_loads_as_it_is(run: TrainRun, whole: dict[str, Any], tmp_path: Path):
    (tmp_path / "checkpoints").mkdir()
    path = tmp_path / "checkpoints" / "checkpoint_last.pyth"
    for form, names in (
        ("own", ("test", "resume", "convert")),
        ("old", ("test", "resume")),
        ("safetensors", ("test",)),
    ):
        write(whole, path, form)
        read = readers(run, path, tmp_path)
        assert [outcome_of(read[name], name, whole) for name in names] == ["loaded"] * len(names)


@pytest.mark.slow
def test_a_share_of_the_changed_checkpoints(run: TrainRun, whole: dict[str, Any], tmp_path: Path):
    results = list(fuzz(run, whole, range(NUM_FAST), tmp_path))
    assert len(results) == 3 * NUM_FAST and len({told for _, told in results}) > NUM_FAST // 2


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, NUM_FILES, PER_BLOCK))
def test_changed_checkpoints(start: int, run: TrainRun, whole: dict[str, Any], tmp_path: Path):
    assert len(list(fuzz(run, whole, range(start, start + PER_BLOCK), tmp_path))) == 3 * PER_BLOCK
