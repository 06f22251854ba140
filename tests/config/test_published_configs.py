"""Every published experiment loads with the values its authors used, from a file and from the command line."""

import logging

import pytest
import yaml

from slowfast.config import get_cfg, load_config
from slowfast.config.ignored_keys import why_ignored
from slowfast.config.load import flatten
from tests.config.published_experiments import flat_overrides, nested, published_defaults, published_experiments

EXPERIMENTS = published_experiments()
DELIBERATE = {
    "SOLVER.BACKBONE_LR_RATIO": 1.0,
    "UNIFORMER.MLP_RATIO": [4.0] * 4,
    "UNIFORMERV2.BACKBONE": "uniformerv2_b16",
}


def test_there_are_eighty():
    assert len(EXPERIMENTS) == 80


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_loads_alike_from_file_and_overrides(name, write):
    keys = EXPERIMENTS[name]
    live = {key: value for key, value in keys.items() if why_ignored(key) is None}

    from_file = load_config(write(yaml.safe_dump(nested(keys))))
    from_objects = load_config(None, flat_overrides(keys))
    from_words = load_config("", [str(word) for word in flat_overrides(keys)])

    resolved = dict(flatten(from_file))
    assert {key: resolved[key] for key in live} == live
    assert from_file == from_objects == from_words


@pytest.mark.parametrize("family", ["uniformer", "uniformerv2"])
def test_defaults_are_the_published_ones(family):
    ours = dict(flatten(get_cfg()))
    published = {key: value for key, value in published_defaults()[family].items() if why_ignored(key) is None}

    assert {key: ours[key] for key in published} == published | {
        key: value for key, value in DELIBERATE.items() if key in published
    }


@pytest.mark.parametrize("family", ["uniformer", "uniformerv2"])
def test_published_defaults_load(family, caplog):
    keys = published_defaults()[family] | {"OUTPUT_DIR": "./runs/x", "TENSORBOARD.ENABLE": False}
    with caplog.at_level(logging.WARNING):
        load_config(None, flat_overrides(keys))
    assert len(caplog.records) == 1
    assert "DIST_BACKEND" in caplog.text
