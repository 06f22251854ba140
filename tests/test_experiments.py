"""The experiments in exp/: their scripts, started for real in bash, and two training steps of each kind."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from fvcore.common.config import CfgNode

from slowfast.config import load_config
from slowfast.config.ignored_keys import why_ignored
from slowfast.config.load import difference, flatten
from tests.config.published_experiments import published_tests

ROOT = Path(__file__).parents[1]
EXP = ROOT / "exp"
TESTS = published_tests()
NAMES = [*TESTS, "quickstart"]
FOUR_NODES = "uniformer_b32x4_k600"
# What the scripts, SLURM or torchrun might find in the environment of the test run.
SETTINGS = (
    *("BATCH_SIZE", "BASE_LR", "EPOCHS", "NUM_GPUS", "NUM_SHARDS", "DATA_DIR", "PATH_PREFIX", "WEIGHTS_DIR"),
    *("CHECKPOINT", "OUTPUT_DIR", "PARTITION", "TIMEOUT_MIN", "SUBMIT_ARGS", "INIT_METHOD", "SHARD_ID", "LOCAL_RANK"),
)
# Stands for python where only the command is of interest: the tools that take no time run, the others are printed.
RECORDER = f"""#!/usr/bin/env bash
case $1 in
  tools/prepare/*) exit ;;
  tools/show_config.py) ${{PRINT_ALL:+exit}}; exec {shlex.quote(sys.executable)} "$@" ;;
esac
printf '%s\\n' "$PWD" "$@"
"""


class Started(NamedTuple):
    """What a script did: exit status, what was printed, and how long it took."""

    status: int
    out: str
    err: str
    seconds: float

    @property
    def command(self) -> list[str]:
        """The words after ``python``, which run in the repository."""
        assert self.status == 0, self.err
        folder, *words = self.out.splitlines()
        assert Path(folder) == ROOT
        return words


def start(script: Path, *words: str, folder: Path | None = None, **environment: str) -> Started:
    """Run a script; ``folder`` holds a python that stands in for this one."""
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    path = f"{folder or Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    began = time.monotonic()
    done = subprocess.run(
        ["bash", script, *words], env={**kept, "PATH": path, **environment}, capture_output=True, text=True
    )
    return Started(done.returncode, done.stdout, done.stderr, time.monotonic() - began)


@pytest.fixture(scope="session")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a python that prints what it is asked to do."""
    folder = tmp_path_factory.mktemp("recorder")
    (folder / "python").write_text(RECORDER)
    (folder / "python").chmod(0o755)
    return folder


def config_of(command: list[str]) -> CfgNode:
    """The config that ``tools/run_net.py --cfg FILE KEY VALUE ...`` would run with."""
    assert command[:2] == ["tools/run_net.py", "--cfg"]
    return load_config(ROOT / command[2], command[3:])


def published_results() -> Iterator[dict[str, str]]:
    """Rows of MODEL_ZOO.md that belong to an experiment, by the names of their columns."""
    columns: list[str] = []
    for line in (ROOT / "MODEL_ZOO.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            columns = []
        elif not columns:
            columns = cells
        elif "experiment" in columns and not line.startswith("|-"):
            yield dict(zip(columns, cells, strict=True))


# Frames x crops x clips of the results, by experiment.
VIEWS = {row["experiment"].strip("`"): row["frames x crops x clips"] for row in published_results()}


# The scripts


@pytest.mark.parametrize("name", NAMES)
def test_run_starts_the_config_and_its_top_names_the_five_numbers(name, recorder):
    script = EXP / name / "run.sh"
    cfg = load_config(EXP / name / "config.yaml")
    started = config_of(start(script, folder=recorder, PRINT_ALL="1").command)

    assert dict(flatten(difference(started, cfg))) == {"OUTPUT_DIR": f"runs/{name}"}
    told = re.search(
        r"^# config.yaml says: (\d+) videos per node and batch, learning rate (\S+), (\d+) epochs, "
        r"(\d+) GPUs per node, (\d+) nodes?\.$",
        "\n".join(script.read_text().splitlines()[:4]),
        re.MULTILINE,
    )
    solver = cfg.SOLVER
    numbers = [cfg.TRAIN.BATCH_SIZE, solver.BASE_LR, solver.MAX_EPOCH, cfg.NUM_GPUS, cfg.NUM_SHARDS]
    assert [float(number) for number in told.groups()] == numbers


@pytest.mark.parametrize("name", TESTS)
def test_test_is_the_published_test(name, recorder):
    cfg = load_config(EXP / name / "config.yaml")
    started = config_of(start(EXP / name / "test.sh", folder=recorder, PRINT_ALL="1").command)
    changed = dict(flatten(difference(started, cfg)))

    # One node suffices to test, whatever training took; views are checked below.
    assert changed.pop("NUM_SHARDS", 1) == 1
    views = {"TEST.NUM_ENSEMBLE_VIEWS", "TEST.NUM_SPATIAL_CROPS"}
    assert {key: value for key, value in changed.items() if key not in views} == {
        "TRAIN.ENABLE": False,
        "OUTPUT_DIR": f"runs/{name}",
    }
    # A path that everybody sets, and where lists are and how they are separated: see test_published_configs.py.
    elsewhere = ("TEST.CHECKPOINT_FILE_PATH", "DATA.PATH_TO_DATA_DIR", "DATA.PATH_LABEL_SEPARATOR")
    published = {key: value for key, value in TESTS[name].items() if key not in elsewhere and why_ignored(key) is None}
    resolved = dict(flatten(started))
    assert {key: resolved[key] for key in published} == published
    shown = re.search(r"with (\d+) clips? x (\d+) crops? per video", (EXP / name / "test.sh").read_text())
    clips, crops = map(int, shown.groups())
    assert (clips, crops) == (started.TEST.NUM_ENSEMBLE_VIEWS, started.TEST.NUM_SPATIAL_CROPS)
    if " x " in VIEWS.get(name, ""):  # that of Kinetics-710 was not tested
        assert VIEWS[name] == f"{started.DATA.NUM_FRAMES} x {crops} x {clips}"


def test_every_published_result_has_its_experiment():
    assert VIEWS.keys() == TESTS.keys()


def test_every_training_log_of_uniformer_is_linked():
    """The authors give one for each experiment but those on UCF101, on HMDB51, and of the lightweight models."""
    logs = {row["experiment"].strip("`"): row["log"] for row in published_results() if "log" in row}
    linked = {name for name, log in logs.items() if log.startswith("[log](https://drive.google.com/file/d/")}

    assert logs.keys() == {name for name in TESTS if name.startswith(("uniformer_s", "uniformer_b"))}
    assert logs.keys() - linked == {"uniformer_s16x4_ucf101_prek400", "uniformer_s16x4_hmdb51_prek400"}
    assert len({logs[name] for name in linked}) == len(linked) == 29


def test_the_environment_sets_numbers_and_places_and_words_come_last(recorder):
    environment = {"BATCH_SIZE": "24", "BASE_LR": "3e-5", "EPOCHS": "7", "NUM_GPUS": "2", "NUM_SHARDS": "1"}
    environment |= {
        "DATA_DIR": "/lists",
        "PATH_PREFIX": "/videos",
        "WEIGHTS_DIR": "/weights",
        "OUTPUT_DIR": "runs/mine",
    }
    words = ["SOLVER.MAX_EPOCH", "9", "DATA.PATH_LABEL_SEPARATOR", " "]
    cfg = load_config(EXP / FOUR_NODES / "config.yaml")
    started = config_of(
        start(EXP / FOUR_NODES / "run.sh", *words, "SOLVER.WARMUP_EPOCHS", "1", folder=recorder, **environment).command
    )

    assert dict(flatten(difference(started, cfg))) == {
        "TRAIN.BATCH_SIZE": 24,
        "SOLVER.BASE_LR": 3e-5,
        "SOLVER.MAX_EPOCH": 9,
        "SOLVER.WARMUP_EPOCHS": 1.0,
        "NUM_GPUS": 2,
        "NUM_SHARDS": 1,
        "DATA.PATH_TO_DATA_DIR": "/lists",
        "DATA.PATH_PREFIX": "/videos",
        "DATA.PATH_LABEL_SEPARATOR": " ",
        "MODEL.WEIGHTS_DIR": "/weights",
        "OUTPUT_DIR": "runs/mine",
    }


@pytest.mark.parametrize("script", ["run.sh", "test.sh"])
def test_the_quickstart_finds_its_classes_beside_its_data(script, recorder):
    cfg = config_of(
        start(EXP / "quickstart" / script, folder=recorder, DATA_DIR="/digits", CHECKPOINT="my.pyth").command
    )
    assert cfg.DATA.PATH_TO_DATA_DIR == cfg.DATA.PATH_PREFIX == "/digits"
    assert cfg.DATA.CLASS_NAMES_FILE == "/digits/classes.txt"
    assert cfg.TEST.CHECKPOINT_FILE_PATH == "my.pyth"
    assert (script == "run.sh") == cfg.TRAIN.ENABLE


@pytest.mark.parametrize("folder", ["/", str(EXP), str(EXP / "quickstart")])
def test_scripts_start_from_any_directory(folder, recorder, monkeypatch):
    monkeypatch.chdir(folder)
    script = Path(os.path.relpath(EXP / "quickstart" / "run.sh"))
    assert start(script, folder=recorder).command[2] == "exp/quickstart/config.yaml"


# Several nodes


def test_scripts_start_their_own_folder_whatever_cdpath_holds(tmp_path, recorder, monkeypatch):
    (tmp_path / "exp" / "quickstart").mkdir(parents=True)
    monkeypatch.chdir(ROOT)
    command = start(Path("exp/quickstart/run.sh"), folder=recorder, CDPATH=str(tmp_path)).command
    assert command[2] == "exp/quickstart/config.yaml"


def test_the_quickstart_makes_its_data_in_a_folder_of_any_name(tmp_path):
    """The data set's tool would take a leading minus for an option."""
    python = tmp_path / "python"
    python.write_text("#!/usr/bin/env bash\n[[ $1 != tools/prepare/* ]] || printf '%s\\n' \"$@\"\n")
    python.chmod(0o755)
    words = start(EXP / "quickstart" / "run.sh", folder=tmp_path, DATA_DIR="-my data").out.splitlines()
    assert words == ["tools/prepare/moving_digits.py", "--workers", "2", "--", "-my data"]


@pytest.mark.slow
def test_several_nodes_do_not_start_as_one(tmp_path):
    """Refused by the real programs, and told what else there is."""
    done = start(EXP / FOUR_NODES / "run.sh", OUTPUT_DIR=str(tmp_path / "run"))
    assert (done.status, done.out) == (1, "")
    command, *told = done.err.splitlines()
    assert command == f"python tools/run_net.py --cfg exp/{FOUR_NODES}/config.yaml OUTPUT_DIR {tmp_path}/run"
    assert told == [
        "error: NUM_SHARDS 4, but this would start one node alone; tools/submit.py (for a script of exp/ "
        "PARTITION=NAME) submits to SLURM; --init_method tcp://HOST:PORT with --shard_id 0 to 3 (INIT_METHOD, "
        "SHARD_ID), torchrun or srun start each node; NUM_SHARDS 1 (NUM_SHARDS=1) takes this node alone, with an "
        "effective batch of 32 instead of 128 videos (SOLVER.ACCUM_STEPS 4 keeps it) and a learning rate of 0.0001 "
        "instead of 0.0004"
    ]
    assert not (tmp_path / "run").exists()


def test_nodes_are_started_by_hand_by_torchrun_or_by_srun(recorder):
    by_hand = start(EXP / FOUR_NODES / "run.sh", folder=recorder, INIT_METHOD="tcp://one:29500", SHARD_ID="3").command
    assert by_hand[1:5] == ["--init_method", "tcp://one:29500", "--shard_id", "3"]
    for environment in ({"LOCAL_RANK": "0"}, {"SLURM_STEP_NUM_TASKS": "32", "SLURM_PROCID": "0"}):
        command = start(EXP / FOUR_NODES / "run.sh", folder=recorder, **environment).command
        assert command[0] == "tools/run_net.py" and "--init_method" not in command


@pytest.mark.parametrize("name", [FOUR_NODES, "quickstart"])
def test_a_mistake_shows_before_anything_starts(name, tmp_path):
    """In a moment: before anything imports torch, and before data are made."""
    environment = {"DATA_DIR": str(tmp_path / "data"), "PYTHONPROFILEIMPORTTIME": "1"}
    done = start(EXP / name / "run.sh", "SOLVER.BASELR", "1", **environment)
    assert (done.status, done.out) == (2, "")
    told = [line for line in done.err.splitlines() if not line.startswith("import time:")]
    assert told == ["error: command line: unknown key SOLVER.BASELR; the nearest known key is SOLVER.BASE_LR"]
    imported = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert "yacs.config" in imported and "torch" not in imported
    assert done.seconds < 5  # 0.2 alone on a core
    assert not list(tmp_path.iterdir())


def test_fewer_epochs_than_the_warmup_are_refused_before_data_are_made(tmp_path):
    done = start(EXP / "quickstart" / "run.sh", DATA_DIR=str(tmp_path / "data"), EPOCHS="1")
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "error: SOLVER.WARMUP_EPOCHS is 2.0 and SOLVER.MAX_EPOCH 1; shorten the warm-up to at most MAX_EPOCH\n"
    )
    assert not list(tmp_path.iterdir())


# The command in sight


@pytest.mark.parametrize("partition", ["", "my gpus"])
def test_the_command_is_printed_for_the_shell_before_it_starts(partition, recorder):
    words = ["DATA.PATH_LABEL_SEPARATOR", " ", "DATA.IMAGE_TEMPLATE", "{:05d}.jpg", "DATA.PATH_PREFIX", "a'b$c"]
    done = start(EXP / "quickstart" / "run.sh", *words, folder=recorder, PARTITION=partition)
    (printed,) = done.err.splitlines()
    assert shlex.split(printed) == ["python", *done.command]
    again = subprocess.run(
        ["bash", "-c", printed],
        cwd=ROOT,
        env={"PATH": f"{recorder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert again.stdout == done.out


def test_of_several_tasks_the_first_prints_the_command(recorder):
    script = EXP / FOUR_NODES / "run.sh"
    for environment in ({"RANK": "{}", "LOCAL_RANK": "0"}, {"SLURM_STEP_NUM_TASKS": "32", "SLURM_PROCID": "{}"}):
        lines = [
            start(script, folder=recorder, **{name: text.format(rank) for name, text in environment.items()}).err
            for rank in (0, 1)
        ]
        assert [line.startswith("python tools/run_net.py --cfg ") for line in lines] == [True, False]
        assert lines[1] == ""


# SLURM


def test_a_partition_submits(recorder):
    environment = {"PARTITION": "gpu", "TIMEOUT_MIN": "90", "SUBMIT_ARGS": "--qos high --wait", "EPOCHS": "12"}
    command = start(EXP / FOUR_NODES / "run.sh", "RNG_SEED", "3", folder=recorder, **environment).command
    assert command == [
        *("tools/submit.py", "--partition", "gpu", "--timeout_min", "90", "--qos", "high", "--wait"),
        *("--cfg", f"exp/{FOUR_NODES}/config.yaml"),
        *("OUTPUT_DIR", f"runs/{FOUR_NODES}", "SOLVER.MAX_EPOCH", "12", "RNG_SEED", "3"),
    ]


def test_a_test_is_submitted_for_one_node(recorder):
    command = start(EXP / FOUR_NODES / "test.sh", folder=recorder, PARTITION="gpu").command
    assert command[:4] == ["tools/submit.py", "--partition", "gpu", "--cfg"]
    cfg = load_config(ROOT / command[4], command[5:])
    assert (cfg.NUM_SHARDS, cfg.NUM_GPUS) == (1, 8)


@pytest.mark.slow
def test_submission_takes_these_options(tmp_path):
    """The command of a submission goes through the real tool up to SLURM, which is not there."""
    for name in ("bash", "basename", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name))
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    (tmp_path / "python").chmod(0o755)
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT), "PARTITION": "gpu", "TIMEOUT_MIN": "90"}
    done = start(EXP / FOUR_NODES / "run.sh", OUTPUT_DIR=str(tmp_path / "run"), **environment)
    _, told = done.err.splitlines()  # the command comes first
    assert done.status == 2 and told.startswith("error: ") and "sbatch" in told, done.err
