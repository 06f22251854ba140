"""The learning rate at any epoch: the published figures, and what holds between them."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowfast.config import load_config
from slowfast.solver.schedule import LearningRateSchedule

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "lr_schedule.json").read_text())
COSINE = {"policy": "cosine", "base_lr": 0.4, "end_lr": 0.1, "max_epoch": 20}


def from_keys(case: dict, *overrides: object) -> LearningRateSchedule:
    """The schedule of a golden case, through the config."""
    pairs = [(f"SOLVER.{key}", value) for key, value in case.items() if key.isupper()]
    return LearningRateSchedule.from_config(load_config(None, [word for pair in pairs for word in pair] + [*overrides]))


@pytest.mark.parametrize("case", GOLDEN)
def test_learning_rates_are_the_published_ones(case: dict):
    assert from_keys(case)(case["epoch"]) == pytest.approx(case["lr"], rel=1e-12, abs=0)


def test_the_golden_file_has_all_policies():
    kinds = {(case["LR_POLICY"], case["COSINE_AFTER_WARMUP"]) for case in GOLDEN}
    assert {("cosine", True), ("cosine", False)} <= kinds
    assert any(policy == "steps_with_relative_lrs" for policy, _ in kinds)


@pytest.mark.parametrize("case", GOLDEN[::5])
def test_all_rates_grow_with_the_nodes_where_asked_to(case: dict):
    nodes = ["NUM_SHARDS", 4]
    scaled = from_keys(case, *nodes, "SOLVER.BASE_LR_SCALE_NUM_SHARDS", True)
    assert scaled(case["epoch"]) == pytest.approx(4 * case["lr"], rel=1e-12)
    assert from_keys(case, *nodes)(case["epoch"]) == pytest.approx(case["lr"], rel=1e-12)


@given(is_after=st.booleans(), warmup=st.floats(0, 20), start=st.floats(0, 0.4), epoch=st.floats(0, 20))
def test_the_rate_stays_between_its_bounds(is_after: bool, warmup: float, start: float, epoch: float):
    schedule = LearningRateSchedule(
        **COSINE, warmup_epochs=warmup, warmup_start_lr=start, is_cosine_after_warmup=is_after
    )
    assert min(start, 0.1) - 1e-12 <= schedule(epoch) <= 0.4 + 1e-12


@pytest.mark.parametrize("is_after", [False, True])
def test_warm_up_is_linear_and_meets_the_cosine(is_after: bool):
    schedule = LearningRateSchedule(**COSINE, warmup_epochs=5, warmup_start_lr=0.02, is_cosine_after_warmup=is_after)
    reached = 0.4 if is_after else 0.1 + 0.3 * (math.cos(math.pi * 5 / 20) + 1) / 2
    assert schedule(0) == pytest.approx(0.02)
    assert schedule(2.5) == pytest.approx((0.02 + reached) / 2)
    assert schedule(5) == pytest.approx(reached) == pytest.approx(schedule(5 - 1e-9))
    assert schedule(20) == pytest.approx(0.1)


def test_training_may_be_warm_up_alone():
    schedule = LearningRateSchedule(**COSINE, warmup_epochs=20, is_cosine_after_warmup=True)
    assert schedule(10) == pytest.approx(0.2) and schedule(20) == pytest.approx(0.4)


def test_steps_begin_at_their_epoch():
    schedule = LearningRateSchedule(
        policy="steps_with_relative_lrs", base_lr=0.5, max_epoch=30, steps=(0, 10, 20), relative_lrs=(1, 0.1, 0.01)
    )
    rates = [schedule(epoch) for epoch in (0, 9.99, 10, 19.99, 20, 30)]
    assert rates == pytest.approx([0.5, 0.5, 0.05, 0.05, 0.005, 0.005])


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match=r"SOLVER.LR_POLICY 'linear' is not a policy; accepted: cosine, steps"):
        LearningRateSchedule(policy="linear", base_lr=1, max_epoch=2)(1)
