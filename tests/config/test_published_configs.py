"""Every published experiment loads with the values its authors used: from its directory, a file, the command line."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from slowfast.config import get_cfg, load_config
from slowfast.config.ignored_keys import why_ignored
from slowfast.config.load import flatten
from tests.config.published_experiments import (
    family_of,
    flat_overrides,
    is_as_expected,
    nested,
    published_defaults,
    published_experiments,
    published_runs,
)

EXP = Path(__file__).parents[2] / "exp"
EXPERIMENTS = published_experiments()
RUNS = published_runs()
DELIBERATE = {
    "SOLVER.BACKBONE_LR_RATIO": 1.0,
    "UNIFORMER.MLP_RATIO": [4.0] * 4,
    "UNIFORMERV2.BACKBONE": "uniformerv2_b16",
}


class Difference(NamedTuple):
    """A value that is not the published one, on purpose."""

    experiments: str  # a regular expression for their names
    key: str
    ours: Any
    why: str


ON_PURPOSE = [
    Difference(".*", "DATA.PATH_TO_DATA_DIR", re.compile(r"data/\w+(/lists|/split1)?"), "as DATASET.md lays data out"),
    Difference(".*", "SOLVER.BACKBONE_LR_RATIO", 1.0, "the published default, 0.1, was read by nothing that ran"),
    Difference(r"uniformer_\w+_(sthv|hmdb).*", "DATA.PATH_LABEL_SEPARATOR", " ", "what these lists are split on"),
    Difference(r".*_(anet|hacs)", "TRAIN.DATASET", re.compile("anet|hacs"), "lists with start and end times"),
    Difference(r".*_(anet|hacs)", "TEST.DATASET", re.compile("anet|hacs"), "there is no data set ant"),
    Difference(
        r"uniformerv2_\w+_k400_prek710",
        "UNIFORMERV2.DELETE_SPECIAL_HEAD",
        False,
        "the classifier of Kinetics-710 is mapped by name, which the paper calls vital (appendix F)",
    ),
    Difference(".*_hmdb51_.*", "MODEL.NUM_CLASSES", 51, "HMDB51 has 51 classes, not UCF101's"),
    Difference("uniformer_.*", "TENSORBOARD.ENABLE", False, "metrics.jsonl has the curves"),
]
# Keys without a published value, which the code that ran still decides; all others are our defaults.
NOT_PUBLISHED = [
    Difference("uniformer_.*", "TEST.ADD_SOFTMAX", False, "the first UniFormer summed raw scores over the views"),
    Difference(".*_(sthv1|sthv2|hmdb51)(_.*)?", "DATA.CHANNEL_ORDER", "bgr", "OpenCV read their frames"),
]
# Keys that say where things are and what they are called.
OF_THE_PLACE = {"DATA.PATH_PREFIX", "DATA.CLASS_NAMES_FILE"}


def on_purpose(name: str, differences: Sequence[Difference] = ON_PURPOSE) -> dict[str, Any]:
    """Key -> our value, or what it matches, where an experiment differs from the published one."""
    return {entry.key: entry.ours for entry in differences if re.fullmatch(entry.experiments, name)}


def test_there_are_eighty_eight():
    assert len(EXPERIMENTS) == 88
    directories = {path.parent.name for path in EXP.glob("*/config.yaml")}
    assert directories == EXPERIMENTS.keys() | {"quickstart"}


@pytest.mark.parametrize("name", RUNS)
def test_the_directory_of_an_experiment_has_the_published_values(name):
    ours = dict(flatten(load_config(EXP / name / "config.yaml")))
    published = {
        key: value
        for key, value in (published_defaults()[family_of(name)] | RUNS[name]).items()
        if why_ignored(key) is None
    }
    expected = published | on_purpose(name)

    assert {key: (ours[key], value) for key, value in expected.items() if not is_as_expected(ours[key], value)} == {}


@pytest.mark.parametrize("name", RUNS)
def test_what_was_not_published_is_the_default(name):
    ours, defaults = dict(flatten(load_config(EXP / name / "config.yaml"))), dict(flatten(get_cfg()))
    decided = on_purpose(name, NOT_PUBLISHED)
    others = ours.keys() - (published_defaults()[family_of(name)] | RUNS[name] | on_purpose(name)).keys()

    expected = {key: decided.get(key, defaults[key]) for key in others - OF_THE_PLACE}
    assert {key: ours[key] for key in expected} == expected
    assert ours["DATA.PATH_PREFIX"].startswith("data") and ours["DATA.CLASS_NAMES_FILE"]


def test_frames_that_opencv_read_for_the_published_runs_are_bgr():
    orders = {name: load_config(EXP / name / "config.yaml").DATA.CHANNEL_ORDER for name in RUNS}
    assert sum(order == "bgr" for order in orders.values()) == 25
    for path in (EXP.parent / "configs" / "datasets").glob("*.yaml"):
        is_bgr = path.stem.startswith(("sth", "hmdb"))
        assert ("bgr" if is_bgr else "rgb") == load_config(path).DATA.CHANNEL_ORDER, path


def test_each_difference_is_one():
    """An entry that no experiment needs any more comes off the list."""
    for entry in ON_PURPOSE:
        published = [
            (published_defaults()[family_of(name)] | keys)[entry.key]
            for name, keys in RUNS.items()
            if re.fullmatch(entry.experiments, name) and entry.key in published_defaults()[family_of(name)] | keys
        ]
        assert any(not is_as_expected(value, entry.ours) for value in published), entry


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
