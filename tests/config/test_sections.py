"""Sections that code from outside adds to the config."""

from collections.abc import Iterator

import pytest
from fvcore.common.config import CfgNode

from slowfast.config import get_cfg, load_config
from slowfast.config.choices import accept_choice
from slowfast.config.coerce import KeyType, none_or, to_float
from slowfast.config.ranges import at_least
from slowfast.config.sections import (
    Section,
    recipe_range,
    register_section,
    shapes_model,
)
from slowfast.errors import UserError
from tests.registration import registrations_kept


@pytest.fixture(autouse=True)
def sections_kept() -> Iterator[None]:
    """What a test registers is gone after it."""
    with registrations_kept():
        yield


def toy_section(**changes: object) -> Section:
    keys = {
        "name": "TOY",
        "models": ["Toy"],
        "defaults": CfgNode({"WIDTH": 8, "SCALE": None, "ACTIVATION": "relu"}),
        "types": {"TOY.SCALE": KeyType(none_or(to_float), "a finite number or None")},
        "choices": {"TOY.ACTIVATION": ("relu", "gelu")},
        "ranges": {"TOY.WIDTH": at_least(2)},
        "rules": [lambda cfg: "TOY.WIDTH is 3; accepted: even numbers" if cfg.TOY.WIDTH == 3 else None],
        "ignored": {"TOY.OLD": "it had no effect"},
    }
    return Section(**(keys | changes))


def refusal(*overrides: object) -> str:
    with pytest.raises(UserError) as error:
        load_config(None, ["MODEL.MODEL_NAME", "Toy", *overrides])
    return str(error.value)


def test_its_keys_are_like_ours():
    before = get_cfg()
    register_section(toy_section())
    cfg = load_config(None, ["MODEL.MODEL_NAME", "Toy", "TOY.WIDTH", "4", "TOY.SCALE", "0.5", "TOY.OLD", 1])
    assert (cfg.TOY.WIDTH, cfg.TOY.SCALE, cfg.TOY.ACTIVATION) == (4, 0.5, "relu")
    assert "TOY" not in before
    assert get_cfg().TOY.WIDTH == 8  # each config has a copy of its own
    assert refusal("TOY.WIDTH", 1) == "TOY.WIDTH is 1; accepted: at least 2"
    assert refusal("TOY.WIDTH", 3) == "TOY.WIDTH is 3; accepted: even numbers"
    assert refusal("TOY.ACTIVATION", "tanh") == "TOY.ACTIVATION is 'tanh'; accepted: relu, gelu"
    assert refusal("TOY.SCALE", "big") == "command line: TOY.SCALE takes a finite number or None, not 'big' (str)"
    assert refusal("TOY.WIDHT", 4) == "command line: unknown key TOY.WIDHT; the nearest known key is TOY.WIDTH"


def test_it_is_checked_for_its_own_models_only():
    register_section(toy_section())
    assert load_config(None, ["TOY.WIDTH", 1]).TOY.WIDTH == 1
    assert "MODEL.MODEL_NAME is 'Tory'" in refusal("MODEL.MODEL_NAME", "Tory")
    assert refusal("MODEL.MODEL_NAME", "Tory").endswith(", Uniformerv2, Toy")


def test_a_section_without_models_is_always_checked():
    register_section(toy_section(models=()))
    with pytest.raises(UserError, match=r"TOY\.WIDTH is 1; accepted: at least 2"):
        load_config(None, ["TOY.WIDTH", 1])


def test_a_model_without_a_section_needs_none():
    accept_choice("MODEL.MODEL_NAME", "Bare")
    assert load_config(None, ["MODEL.MODEL_NAME", "Bare"]).MODEL.MODEL_NAME == "Bare"


def test_sections_of_models_shape_them():
    register_section(toy_section())
    register_section(toy_section(name="TOYLOSS", models=(), types={}, choices={}, ranges={}))
    assert shapes_model("TOY.WIDTH") and shapes_model("UNIFORMER.DEPTH") and shapes_model("MODEL.NUM_CLASSES")
    assert not shapes_model("TOYLOSS.WIDTH") and not shapes_model("SOLVER.BASE_LR")
    assert recipe_range(load_config(None, ["MODEL.MODEL_NAME", "Toy"])) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "UNIFORMER"}, "the config has a section UNIFORMER already"),
        ({"name": "SOLVER"}, "the config has SOLVER for all models already; give the section another name"),
        ({"name": "NUM_GPUS"}, "the config has NUM_GPUS for all models already; give the section another name"),
        ({"name": "MY.TOY"}, r"'MY\.TOY' is no name of a section; accepted: letters, digits and _"),
        ({"defaults": {"WIDTH": 8}}, r"defaults of section TOY are \{'WIDTH': 8\}; accepted: a CfgNode"),
        ({"models": "Toy"}, r"models of section TOY are 'Toy'; accepted: a tuple or list of names"),
        ({"ranges": {"TOY.WIDHT": at_least(1)}}, r"section TOY has no key TOY\.WIDHT"),
        ({"choices": {"WIDTH": (1,)}}, r"section TOY has no key WIDTH"),
    ],
)
def test_slips_of_a_section_are_told(changes, message):
    with pytest.raises(UserError, match=message):
        register_section(toy_section(**changes))


def test_an_unknown_section_may_be_of_a_plugin():
    told = "command line: unknown key TOY.WIDTH; the nearest known key is UNIFORMERV2.WIDTH"
    with pytest.raises(UserError) as error:
        load_config(None, ["TOY.WIDTH", 1])
    assert str(error.value) == f"{told}; if code from outside brings TOY, give it with --plugins"
