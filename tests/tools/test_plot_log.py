"""tools/plot_log.py: a picture of a real run, and what it refuses."""

import os
from pathlib import Path

import pytest
from PIL import Image

from tests.command_line import run_net, run_tool, tiny_arguments


def test_a_run_is_drawn(video_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    keys = ["SOLVER.MAX_EPOCH", 2, "TEST.ENABLE", "False", "MODEL.EMA_EPOCH", 0]
    assert run_net(*tiny_arguments(video_set, tmp_path / "run", *keys)).code == 0
    monkeypatch.chdir(tmp_path)
    assert run_tool("plot_log", tmp_path / "run").out == "wrote curves.png\n"
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 800
        colors = {color for _, color in picture.convert("RGB").getcolors(maxcolors=2**24)}
    assert {(31, 119, 180), (255, 127, 14), (214, 39, 40)} <= colors  # of training, validation and the EMA


def test_a_folder_whose_name_is_not_utf8_is_drawn(tmp_path: Path):
    folder = tmp_path / os.fsdecode(b"run \xe9")
    folder.mkdir()
    (folder / "metrics.jsonl").write_text('{"kind": "train", "step": 1, "loss": 2.0}\n')
    assert run_tool("plot_log", folder, "-o", folder / "curves.png").code == 0
    assert (folder / "curves.png").stat().st_size > 0


def test_mistakes_are_one_line(tmp_path: Path):
    (tmp_path / "metrics.jsonl").write_text("")
    for words, told in (
        ((tmp_path / "none",), "none: there is no such file or folder; give the OUTPUT_DIR of a training, or its log"),
        ((tmp_path,), "metrics.jsonl:1: there is no whole line yet; a training writes one every LOG_PERIOD steps"),
    ):
        outcome = run_tool("plot_log", *words)
        assert (outcome.code, outcome.err) == (1, f"error: {tmp_path}/{told}\n")
