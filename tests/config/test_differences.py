"""MODEL_ZOO.md's table "What differs from the published code" against the configs of the experiments."""

import re
import shlex
from collections.abc import Mapping, Sequence, Set
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fvcore.common.config import CfgNode

from slowfast.config import get_cfg, load_config
from slowfast.config.ignored_keys import why_ignored
from slowfast.config.load import flatten
from tests.config.published_experiments import family_of, is_as_expected, published_defaults, published_runs

ROOT = Path(__file__).parents[2]
RUNS = published_runs()
HEADING = "## What differs from the published code"
KEY = r"[A-Z][A-Z0-9_]*\.[A-Z0-9_]+|RNG_SEED"
# Where what a key changes plays a part, for keys whose value is the default in all experiments.
CONCERNED = {
    "TRAIN.MIXED_PRECISION_DTYPE": lambda cfg: cfg.TRAIN.MIXED_PRECISION,
    "UNIFORMERV2.DROP_PATH_STYLE": lambda cfg: (
        cfg.MODEL.MODEL_NAME == "Uniformerv2"
        and max(cfg.UNIFORMERV2.DROP_PATH_RATE, cfg.UNIFORMERV2.BACKBONE_DROP_PATH_RATE) > 0
    ),
    "DATA.DECODING_BACKEND": lambda cfg: cfg.TEST.DATASET not in ("sth", "hmdb"),
    "TRAIN.NUM_CHECKPOINTS_KEPT": lambda cfg: cfg.SOLVER.MAX_EPOCH > 5 * cfg.TRAIN.CHECKPOINT_PERIOD,
}


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        what: its first cell.
        experiments: those that its second cell names.
        pairs: key -> value, or None, of its third cell.
        keys: all keys that it names.
    """

    what: str
    experiments: Set[str]
    pairs: dict[str, Any]
    keys: frozenset[str]


def named_experiments(cell: str) -> Set[str]:
    """All 88, all but those that the patterns match, or those; a pattern that matches none is a mistake."""
    if "all 88" in cell:
        return frozenset(RUNS)
    patterns = [word for word in re.findall(r"`(\S+)`", cell) if "_" in word]
    found = {pattern: [name for name in RUNS if fnmatchcase(name, pattern)] for pattern in patterns}
    assert all(found.values()), found
    names = frozenset(name for matched in found.values() for name in matched)
    return RUNS.keys() - names if cell.startswith("all but") else names


def pairs_of(cell: str) -> dict[str, Any]:
    """`KEY value` as {key: value}, and `KEY` as {key: None}."""
    found = re.findall(rf"`({KEY})(?: ([^`]+))?`", cell)
    return {key: shlex.split(value)[0] if value else None for key, value in found}


@cache
def table() -> tuple[Row, ...]:
    lines = (ROOT / "MODEL_ZOO.md").read_text().partition(HEADING)[2].partition("\n## ")[0].splitlines()
    cells = [re.split(r" \| ", line.strip("| ")) for line in lines if line.startswith("| ")][1:]
    return tuple(
        Row(what, named_experiments(where), pairs_of(way), frozenset(re.findall(KEY, f"{what} {way} {why}")))
        for what, where, way, why in cells
    )


@cache
def config_of(name: str) -> CfgNode:
    return load_config(ROOT / "exp" / name / "config.yaml")


@cache
def differences() -> dict[str, frozenset[str]]:
    """Key -> the experiments in which it is not as published, or, if nothing is published, not our default."""
    found: dict[str, set[str]] = {}
    defaults = dict(flatten(get_cfg()))
    for name, keys in RUNS.items():
        expected = defaults | published_defaults()[family_of(name)] | keys
        for key, ours in flatten(config_of(name)):
            if not is_as_expected(ours, expected[key]):
                found.setdefault(key, set()).add(name)
    return {key: frozenset(names) for key, names in found.items()}


def complaints(different: Mapping[str, Set[str]], rows: Sequence[Row]) -> list[str]:
    """What the table leaves out, or says of too many or too few experiments."""
    found = []
    for key, names in different.items():
        told = frozenset().union(*(row.experiments for row in rows if key in row.pairs))
        if not told:
            found.append(f"{key} differs in {len(names)} experiments, and no row names it")
        elif told != names:
            found.append(f"{key}: rows and configs disagree about {', '.join(sorted(told ^ names))}")
    return found


def test_the_table_names_every_difference_and_just_the_experiments_with_it():
    assert len(table()) > 30
    assert complaints(differences(), table()) == []


def test_what_the_table_says_of_the_defaults_is_where_they_play_a_part():
    concerned = {
        key: frozenset(name for name in RUNS if plays_a_part(config_of(name)))
        for key, plays_a_part in CONCERNED.items()
    }
    # Keys that the public files set and that are ignored here.
    concerned |= {
        key: frozenset(name for name in RUNS if key in RUNS[name]) for key in ("DATA.MC", "TRAIN.SAVE_LATEST")
    }
    assert complaints(concerned, table()) == []


def test_a_difference_without_a_row_fails():
    name = "uniformer_s8x8_k400"
    assert complaints({"SOLVER.WEIGHT_DECAY": frozenset([name])}, table()) == [
        "SOLVER.WEIGHT_DECAY differs in 1 experiments, and no row names it"
    ]
    for key, names in differences().items():
        fewer, without = [names - {min(names)}, [row for row in table() if key not in row.pairs]]
        assert complaints({key: fewer}, table()), key
        assert complaints({key: names}, without) == [f"{key} differs in {len(names)} experiments, and no row names it"]
    more = differences()["TENSORBOARD.ENABLE"] | {"uniformerv2_b16_8x224_k400"}
    assert complaints({"TENSORBOARD.ENABLE": more}, table()) == [
        "TENSORBOARD.ENABLE: rows and configs disagree about uniformerv2_b16_8x224_k400"
    ]


@pytest.mark.parametrize("row", table(), ids=lambda row: row.what[:40])
def test_a_row_speaks_of_keys_that_there_are(row: Row):
    known = dict(flatten(get_cfg()))
    assert [key for key in row.keys if key not in known and why_ignored(key) is None] == []


@pytest.mark.parametrize(
    "row", [row for row in table() if any(row.pairs.values())], ids=lambda row: " ".join(row.pairs)
)
def test_the_published_way_is_accepted(row: Row):
    """And where the configs have another value, it is the published one, if it is not the experiments' already."""
    pairs = {key: value for key, value in row.pairs.items() if value is not None}
    words = [word for pair in pairs.items() for word in pair]
    if not row.experiments:
        load_config(None, words)
        return
    name = min(row.experiments)
    changed = dict(flatten(load_config(ROOT / "exp" / name / "config.yaml", words)))
    published = published_defaults()[family_of(name)] | RUNS[name]
    assert [key for key in pairs if key in published and key not in differences().keys() | CONCERNED.keys()] == [], (
        "no more"
    )
    expected, as_set = dict(flatten(get_cfg())) | published, dict(flatten(config_of(name)))
    for key in pairs.keys() & differences().keys():
        assert changed[key] in (expected[key], as_set[key]), key
