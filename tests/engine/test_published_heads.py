"""What becomes of the classifier that each published experiment starts from: none that could be mapped is dropped."""

import re
from pathlib import Path

import pytest
from fvcore.common.config import CfgNode

from slowfast.config import load_config
from slowfast.datasets import build_class_names
from slowfast.engine.checkpoint import head_rules
from slowfast.models.weights.class_order import HeadPlan, plan_head
from slowfast.models.weights.translation import Translation
from tests.config.published_experiments import published_runs

EXP = Path(__file__).parents[2] / "exp"


def start_of(cfg: CfgNode) -> str:
    """The file that training starts from."""
    return str(cfg.UNIFORMER.PRETRAIN_NAME if cfg.MODEL.MODEL_NAME == "Uniformer" else cfg.UNIFORMERV2.PRETRAIN)


def num_classes_of(file: str) -> int | None:
    """Classes of the authors' video weights, by the Kinetics in the name of their file; None of others."""
    found = re.search(r"k(\d00|710)", file.rpartition("/")[2])
    return int(found[1]) if found else None


def plan_of(cfg: CfgNode) -> HeadPlan:
    """The plan for the classifier that an experiment starts from."""
    source, rules = start_of(cfg), head_rules(cfg, build_class_names(cfg))
    sizes = {"num_theirs": num_classes_of(source), "num_ours": cfg.MODEL.NUM_CLASSES}
    return plan_head(rules, Translation("the authors' weights", {}, origin="authors"), **sizes, source=source)


def published_start(keys: dict[str, object]) -> str:
    return str(keys.get("UNIFORMERV2.PRETRAIN") or keys.get("UNIFORMER.PRETRAIN_NAME") or "")


FROM_VIDEO = sorted(name for name, keys in published_runs().items() if num_classes_of(published_start(keys)))


def test_experiments_that_start_from_video_weights_are_found():
    assert {name for name in published_runs() if "_prek" in name} < set(FROM_VIDEO)


@pytest.mark.parametrize("name", FROM_VIDEO)
def test_no_classifier_is_dropped_whose_classes_are_ours(name: str):
    plan = plan_of(load_config(EXP / name / "config.yaml"))
    if plan.rows is None:
        assert not plan.is_warning, plan.note
    else:
        assert None not in plan.rows


@pytest.mark.parametrize("name", [name for name in FROM_VIDEO if name.endswith("k400_prek710")])
def test_kinetics_400_takes_the_first_rows_of_kinetics_710(name: str):
    """As the authors' code does where it keeps the classifier; nothing is assumed."""
    plan = plan_of(load_config(EXP / name / "config.yaml"))
    assert plan.rows == list(range(400)) and not plan.is_warning
    deleted = plan_of(load_config(EXP / name / "config.yaml", ["UNIFORMERV2.DELETE_SPECIAL_HEAD", True]))
    assert deleted.rows is None and deleted.is_warning
