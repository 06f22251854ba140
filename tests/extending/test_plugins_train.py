"""A run whose model, data set, loss, transform and optimizer all stand in files outside the package."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml

from tests.command_line import ROOT, RUN_NET, run_commands
from tests.extending.conftest import PAGE
from tests.run_state import metrics

TINY = ROOT / "tests" / "tiny.yaml"
CONFIG = {
    "_BASE_": str(TINY),
    "PLUGINS": ["my_model.py", "my_dataset.py", "my_loss.py", "my_transform.py", "my_optimizer.py"],
    "TRAIN": {"DATASET": "arrays"},
    "TEST": {"DATASET": "arrays"},
    "MODEL": {"MODEL_NAME": "FrameMean", "LOSS_FUNC": "focal"},
    "FRAMEMEAN": {"WIDTH": 5},
    "AUG": {"ENABLE": True, "EXTRA_TRANSFORMS": ["grey"]},
    "SOLVER": {"OPTIMIZING_METHOD": "nadam", "MAX_EPOCH": 1},
}


@pytest.fixture
def folder(example_files: list[str], arrays: Path) -> Path:
    """Data, the examples' files and a config beside them."""
    for path in map(Path, example_files):
        (arrays / path.name).write_text(path.read_text())
    (arrays / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return arrays


def run(folder: Path, *overrides: object, config: str = "config.yaml", options: tuple = ()):
    places = ["DATA.PATH_TO_DATA_DIR", folder, "OUTPUT_DIR", folder / "run"]
    command = [sys.executable, RUN_NET, *options, "--cfg", folder / config, *places, *overrides]
    return run_commands(command, cwd=folder, environment={"OMP_NUM_THREADS": "1"})[0]


SUBMIT = (ROOT / "tools" / "submit.py", "--cluster", "local", "--wait")


@pytest.mark.parametrize(
    "way",
    [
        (RUN_NET,),
        # Several processes are spawned, and load through a server that has imported nothing of this.
        ("-m", "torch.distributed.run", "--nproc_per_node", "2", RUN_NET),
        SUBMIT,
    ],
    ids=["one process", "torchrun", "submitted"],
)
@pytest.mark.slow
def test_two_steps_and_a_test(folder: Path, way: tuple):
    places = ["DATA.PATH_TO_DATA_DIR", folder, "OUTPUT_DIR", folder / "run", "DATA_LOADER.NUM_WORKERS", 1]
    command = [sys.executable, *way, "--cfg", folder / "config.yaml", *places]
    (outcome,) = run_commands(command, cwd=folder.parent, environment={"OMP_NUM_THREADS": "1"})
    assert outcome.code == 0, outcome.err
    losses = [line["loss"] for line in metrics(folder / "run", "train")]
    assert len(losses) == 2 and all(0 < loss < 3 for loss in losses)
    report = json.loads((folder / "run" / "test" / "report.json").read_text())
    assert (report["expected"], report["scored"]) == (8, 8)
    log = (folder / "run" / "log.txt").read_text()
    for name in CONFIG["PLUGINS"]:
        assert re.search(rf"plugin {folder}/{name}, SHA-256 [0-9a-f]{{64}}", log), log
    stamp = json.loads((folder / "run" / "environment.json").read_text())
    assert list(stamp["plugins"]) == [str(folder / name) for name in CONFIG["PLUGINS"]]


@pytest.mark.slow
def test_it_resumes_and_its_checkpoint_asks_for_the_files_again(folder: Path):
    assert run(folder, "TEST.ENABLE", False).code == 0
    outcome = run(folder, "SOLVER.MAX_EPOCH", 2)
    assert outcome.code == 0, outcome.err
    assert len(metrics(folder / "run", "train")) == 4
    # The same config without its plugins: its names and its section are unknown.
    bare = {key: value for key, value in CONFIG.items() if key != "PLUGINS"}
    (folder / "bare.yaml").write_text(yaml.safe_dump(bare))
    error = run(folder, config="bare.yaml").error
    assert re.search(r"bare\.yaml:\d+: unknown key FRAMEMEAN\.WIDTH; .*; if code from outside brings FRAMEMEAN", error)
    # Its checkpoint under a model of ours: the error says which files it was trained with.
    checkpoint = folder / "run" / "checkpoints" / "checkpoint_last.pyth"
    (folder / "ours.yaml").write_text(yaml.safe_dump({"_BASE_": str(TINY), "TEST": {"DATASET": "arrays"}}))
    ours = ("TRAIN.ENABLE", False, "TRAIN.DATASET", "arrays", "TEST.CHECKPOINT_FILE_PATH", checkpoint)
    error = run(folder, *ours, config="ours.yaml", options=("--plugins", folder / "my_dataset.py")).error
    assert f"holds weights of FrameMean (trained with --plugins {folder}/my_model.py" in error
    assert "but MODEL.MODEL_NAME is Uniformerv2" in error
    # And nothing of a checkpoint's config is imported.
    content = torch.load(checkpoint, weights_only=True)
    assert yaml.safe_load(content["config"])["PLUGINS"][0] == str(folder / "my_model.py")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["FRAMEMEAN.WIDHT", 4], "command line: unknown key FRAMEMEAN.WIDHT; the nearest known key is FRAMEMEAN.WIDTH"),
        (["FRAMEMEAN.WIDTH", 0], "FRAMEMEAN.WIDTH is 0; accepted: at least 1"),
        (["MODEL.LOSS_FUNC", "fokal"], "MODEL.LOSS_FUNC is 'fokal'; accepted: cross_entropy, soft_cross_entropy, "),
    ],
)
def test_a_typo_in_its_keys_gets_the_usual_message(own_parts: list[str], overrides: list, message: str):
    from slowfast.config import load_config
    from slowfast.errors import UserError

    with pytest.raises(UserError) as error:
        load_config(TINY, ["MODEL.MODEL_NAME", "FrameMean", *overrides], plugins=own_parts)
    assert str(error.value).startswith(message)


def test_the_examples_of_the_page_are_short():
    for text in re.findall(r"```python\n(# my_\w+\.py: .*?)```", PAGE.read_text(), re.DOTALL):
        lines = [line for line in text.splitlines() if line and not line.startswith(("import", "from", "#"))]
        assert len(lines) <= 22, text


def test_the_rest_of_the_page_runs_as_it_stands():
    """One block after the other, as a reader would type them."""
    blocks = re.findall(r"```python\n(?!# my_)(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 2
    names: dict = {}
    with torch.device("meta"):
        for block in blocks:
            exec(block, names)  # our own page
    assert names["model"].num_classes == names["reference"].num_classes == 10
    assert names["reference"] is not names["model"]
