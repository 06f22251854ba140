"""The benchmark's figures hang together; how fast a machine is no test tells."""

from pathlib import Path

import pytest
import torch

from slowfast.benchmarks import measure, model_speed
from slowfast.benchmarks.complexity import count_operations
from slowfast.benchmarks.model_speed import COMPILED, FORWARD, OURS, PLAIN, STEP, benchmark, describe_measurements
from slowfast.config import load_config
from slowfast.models import build_model
from slowfast.models.reference import use_reference

TINY = Path(__file__).parents[2] / "configs" / "models" / "uniformerv2_tiny.yaml"
ONE_LAYER = ["UNIFORMERV2.LAYERS", 1, "UNIFORMERV2.N_LAYERS", 1, "UNIFORMERV2.RETURN_LIST", [0]]
SMALL = load_config(TINY, ["DATA.NUM_FRAMES", 2, *ONE_LAYER, "UNIFORMERV2.MLP_DROPOUT", [0.1]])


@pytest.fixture(scope="module")
def measurements():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "MATRIX_SIZES", {"cpu": 64, "cuda": 64})
        patch.setattr(torch, "compile", lambda model: model)  # a minute, and PyTorch's to test
        patch.setattr(model_speed, "check_compiler", lambda option, device: None)  # nor is there one everywhere
        rows = benchmark(
            SMALL,
            torch.device("cpu"),
            batch_size=2,
            num_rounds=2,
            dtype=torch.float32,
            has_compiled=True,
            against_plain=True,
        )
    return {(row.pass_name, row.formulation): row for row in rows}


def test_each_pass_of_each_formulation_is_measured(measurements):
    assert set(measurements) == {(pass_name, name) for pass_name in (FORWARD, STEP) for name in (OURS, PLAIN, COMPILED)}
    for row in measurements.values():
        assert row.samples_per_s == pytest.approx(2 / row.timing.wall_s)
        assert 0 < row.timing.min_wall_s <= row.timing.wall_s
        assert row.peak_share == pytest.approx(row.flop_per_s / row.peak_flop_per_s)


def test_operations_are_those_that_are_performed(measurements):
    with torch.device("meta"):
        model = build_model(SMALL)
    shape = (2, 3, 2, 32, 32)
    expected = {
        (FORWARD, OURS): count_operations(model, shape),
        (STEP, OURS): count_operations(model, shape, has_backward=True),
        (FORWARD, PLAIN): count_operations(use_reference(model), shape),
        (STEP, PLAIN): count_operations(use_reference(model), shape, has_backward=True),
    }
    for key, counter in expected.items():
        row = measurements[key]
        assert row.flop_per_s * row.timing.min_wall_s == pytest.approx(2 * counter.multiply_adds)


def test_the_report_has_a_row_a_measurement_and_the_ratios(measurements):
    lines = describe_measurements(list(measurements.values()))
    assert sum(line.startswith(("| forward |", "| forward + backward |")) for line in lines) == 6
    assert [line.split(" of the time of ")[1].split(" (")[0] for line in lines if "takes" in line] == [
        f"'{COMPILED}'",
        f"'{PLAIN}'",
    ] * 2
    only_ours = [row for row in measurements.values() if row.formulation == OURS]
    assert not any("takes" in line for line in describe_measurements(only_ours))
