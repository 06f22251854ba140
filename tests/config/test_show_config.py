"""tools/show_config.py prints what a config resolves to, and leaves with one line on a mistake."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from slowfast.config import add_config_arguments, get_cfg, load_config, load_config_or_exit

ROOT = Path(__file__).parents[2]


def show_config(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tool."""
    command = [sys.executable, "tools/show_config.py", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def parse(*arguments: str) -> argparse.Namespace:
    """Parse as a tool does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--diff", action="store_true")
    add_config_arguments(parser)
    return parser.parse_args(arguments)


def test_output_is_the_resolved_config(write):
    path = write("TRAIN:\n  BATCH_SIZE: 8\n")
    result = show_config("--cfg", path, "SOLVER.CLIP_GRADIENT", "-1")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == load_config(path, ["SOLVER.CLIP_GRADIENT", "-1"]).dump()


def test_diff_is_a_config_by_itself(write):
    path = write("TRAIN:\n  BATCH_SIZE: 8\n  EVAL_PERIOD: 10\n")
    result = show_config("--cfg", path, "--diff", "NUM_GPUS", "2", "UNIFORMER.MLP_RATIO", "3")
    assert result.stdout == "NUM_GPUS: 2\nTRAIN:\n  BATCH_SIZE: 8\nUNIFORMER:\n  MLP_RATIO: 3.0\n"
    again = load_config(write(result.stdout, "diff.yaml"))
    assert again == load_config(path, ["NUM_GPUS", 2, "UNIFORMER.MLP_RATIO", 3])


def test_mistake_is_one_line_and_status_two():
    result = show_config("NUM_GPU", "2")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: command line: unknown key NUM_GPU; the nearest known key is NUM_GPUS\n"


def test_options_without_pairs_and_nothing_at_all():
    assert load_config_or_exit(parse()) == get_cfg()
    assert load_config_or_exit(parse("--diff")) == get_cfg()
    assert load_config_or_exit(parse("--", "NUM_GPUS", "2")).NUM_GPUS == 2


@pytest.mark.parametrize("value", ["-1", "-1e-3", "-.5"])
def test_values_may_begin_with_a_minus(value):
    args = parse("--diff", "SOLVER.CLIP_GRADIENT", value, "NUM_GPUS", "2")
    cfg = load_config_or_exit(args)
    assert float(value) == cfg.SOLVER.CLIP_GRADIENT


def test_duplicates_are_allowed_by_the_option(write):
    path = write("NUM_GPUS: 1\nNUM_GPUS: 2\n")
    assert load_config_or_exit(parse("--cfg", path, "--allow_duplicate_keys")).NUM_GPUS == 2


def test_odd_number_of_words_leaves(capsys):
    with pytest.raises(SystemExit) as leaving:
        load_config_or_exit(parse("NUM_GPUS", "2", "LOG_PERIOD"))
    assert leaving.value.code == 2
    told = capsys.readouterr().err
    assert (
        told == "error: command line: overrides are pairs KEY VALUE, but there are 3 words, the last one 'LOG_PERIOD'\n"
    )
