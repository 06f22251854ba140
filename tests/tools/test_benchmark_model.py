"""tools/benchmark_model.py: what it prints and what it refuses."""

import pytest
import torch

from slowfast.benchmarks import measure
from tests.command_line import ROOT, run_tool

TINY = ROOT / "configs" / "models" / "uniformerv2_tiny.yaml"


@pytest.mark.slow
def test_a_table_and_how_it_compares(monkeypatch):
    monkeypatch.setattr(measure, "MATRIX_SIZES", {"cpu": 64, "cuda": 64})
    words = ["--cfg", TINY, "--batch", 2, "--rounds", 1, "--device", "cpu", "--against_plain", "DATA.NUM_FRAMES", 2]
    words += ["UNIFORMERV2.LAYERS", 1, "UNIFORMERV2.N_LAYERS", 1, "UNIFORMERV2.RETURN_LIST", [0]]
    words += ["UNIFORMERV2.MLP_DROPOUT", [0.1]]
    output = run_tool("benchmark_model", *words).out
    assert output.startswith("Uniformerv2, 2 frames, crops of 32 px (training 32), batch 2, float32, on CPU")
    assert output.count("| forward ") == 4
    assert output.count("of the time of 'plain' (median)") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch", "0"], "argument --batch: '0'; accepted: whole numbers from 1"),
        (["--rounds", "many"], "argument --rounds: 'many'; accepted: whole numbers from 1"),
        (["--device", "cuda"], "--device cuda: PyTorch finds no GPU; use --device cpu"),
        (["DATA.NUM_FRAMES", "few"], "error: "),
    ],
)
def test_mistakes_are_one_line(monkeypatch, words, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    outcome = run_tool("benchmark_model", *words)
    assert outcome.code == 2
    assert message in outcome.err
